"""Agents in web applications, on Starlette: see README.md in this folder."""

from tether.web.application import app, mount
from tether.web.response import EventStreamResponse
from tether.web.security import Authorise, Bounds
from tether.web.tokens import Tokens

__all__ = ("Authorise", "Bounds", "EventStreamResponse", "Tokens", "app", "mount")
