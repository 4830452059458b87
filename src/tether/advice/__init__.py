"""What people need, made of hooks and advice alone: each a function that makes what is to be installed."""
