"""Agents in web applications, on Starlette: see README.md in this folder."""

from tether.web.response import EventStreamResponse

__all__ = ("EventStreamResponse",)
