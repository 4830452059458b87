"""Agents in editors, by the Agent Client Protocol: see README.md in this folder."""

from tether.acp.server import MakeAgent, serve, serve_stdio

__all__ = ("MakeAgent", "serve", "serve_stdio")
