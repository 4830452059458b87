"""Which tool calls may run: modes, the rules that a person keeps, and the questions about all else."""
