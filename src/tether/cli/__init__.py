"""The command `tether`: one request, answered and shown as it happens."""

from tether.cli.command import main

__all__ = ("main",)
