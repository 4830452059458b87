"""What the wire APIs share. Pure: no I/O in any module of it."""
