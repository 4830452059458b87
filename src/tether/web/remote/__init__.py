"""Conversations on a server, from another program."""
