"""What tether costs beside what else there is. `python -m benchmarks --help` tells how to ask."""
