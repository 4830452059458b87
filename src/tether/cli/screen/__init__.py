"""What a person sees at a terminal: colours, lines that fit, choices, and trees."""
