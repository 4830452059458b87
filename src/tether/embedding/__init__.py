"""What it takes to live in somebody else's program: see README.md in this folder."""
