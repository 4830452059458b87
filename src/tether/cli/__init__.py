"""The command `tether`: one request, answered and shown as it happens, or a conversation."""

from tether.cli.command import main

__all__ = ("main",)
