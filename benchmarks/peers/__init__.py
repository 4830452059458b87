"""What is measured side by side: the same programs, written as each library's users would write them."""

import importlib
import importlib.metadata
from collections.abc import Awaitable, Callable
from typing import Any, Final

from attrs import frozen

__all__ = ("NAMES", "Peer", "Tick", "peer")

Tick = Callable[[], None]
"""To be called at each piece of text that reaches the program."""

NAMES: Final = (
    "httpx",
    "tether",
    "tutorial",
    "openai_sdk",
    "anthropic_sdk",
    "pydantic_ai",
    "openai_agents",
    "litellm",
    "pi_agent_core",
)
"""Modules of this package; those whose distribution is not installed are left out."""


@frozen
class Peer:
    """A library, and how it is used."""

    distribution: str
    text: Callable[[str, str, Tick], Awaitable[None]]
    """Is given the API and the address; asks once, and takes all of the reply's text as it comes."""
    turns: Callable[[str, str], Awaitable[int]] | None = None
    """Asks with a tool called `add`, and returns how often that ran."""
    idle: Callable[[int, Tick], Awaitable[None]] | None = None
    """Starts so many requests, to a model within the process that never answers, and ticks when all wait."""
    stream: Callable[[int], Awaitable[None]] | None = None
    """Passes so many numbers through the library's stream of events."""
    apis: tuple[str, ...] = ("chat",)
    loops: tuple[str, ...] = ("asyncio", "uvloop")
    prepare: Callable[[str], Any] = lambda _: None
    """Is given the address before each measurement, for what cannot be told in a call."""


def peer(name: str) -> Peer | None:
    """Find a peer by its name; None where it is not installed."""
    try:
        found: Peer = importlib.import_module(f"benchmarks.peers.{name}").PEER
        importlib.metadata.version(found.distribution)
    except ImportError:
        return None
    return found
