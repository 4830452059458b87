"""An agent loop for asyncio and trio: a run is tied to the scope that started it.

Here is what programs name most. What is rarer is in the public modules: `tether.hooks` (types of hooks), `tether.model`
(to write a model), `tether.deltas`, `tether.stream`, `tether.serialize`, `tether.errors`, `tether.messages`.

A name is imported when it is first used, so a program pays for what it names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tether.agent import Agent
    from tether.approvals import Approve, Verdict
    from tether.chat import Chat
    from tether.commands import Commands
    from tether.deltas import TextDelta, ThinkingDelta
    from tether.errors import (
        AgentBusyError,
        BusyError,
        LostClaimError,
        ModelError,
        NothingToContinueError,
        OutputError,
        TetherError,
        UnknownModelError,
        UsageError,
    )
    from tether.events import (
        AgentEnd,
        AgentStart,
        ApprovalAnswered,
        ApprovalRequested,
        Event,
        MessageEnd,
        MessageStart,
        MessageUpdate,
        ModelRetry,
        ToolExecutionEnd,
        ToolExecutionStart,
        ToolExecutionUpdate,
        TurnEnd,
        TurnStart,
    )
    from tether.hooks import Deny, Invocation, ProceedTool, RunContext
    from tether.iterator import RunIterator
    from tether.limits import Limits
    from tether.media import Audio, Document, Image, Video
    from tether.messages import (
        AssistantMessage,
        CustomMessage,
        Message,
        Prompt,
        Queued,
        Text,
        Thinking,
        ToolCall,
        ToolResultMessage,
        Usage,
        UserMessage,
    )
    from tether.model import Model, ModelOptions, ModelRequest, RetryPolicy
    from tether.models.catalogue import model_from_name
    from tether.models.fallback import fallback
    from tether.models.knowledge import context_window, known_models, price_of
    from tether.pending import PendingRun
    from tether.result import OutputResult, RunResult
    from tether.run import Run
    from tether.serialize import from_json, to_json
    from tether.session import Session, SessionStore, sessions
    from tether.stream import EventStream, create_event_stream, open_event_stream
    from tether.tools import Tool, ToolContext, ToolResult, tool
    from tether.vocabulary import json_schema

__all__ = (
    "Agent",
    "AgentBusyError",
    "AgentEnd",
    "AgentStart",
    "ApprovalAnswered",
    "ApprovalRequested",
    "Approve",
    "AssistantMessage",
    "Audio",
    "BusyError",
    "Chat",
    "Commands",
    "CustomMessage",
    "Deny",
    "Document",
    "Event",
    "EventStream",
    "Image",
    "Invocation",
    "Limits",
    "LostClaimError",
    "Message",
    "MessageEnd",
    "MessageStart",
    "MessageUpdate",
    "Model",
    "ModelError",
    "ModelOptions",
    "ModelRequest",
    "ModelRetry",
    "NothingToContinueError",
    "OutputError",
    "OutputResult",
    "PendingRun",
    "ProceedTool",
    "Prompt",
    "Queued",
    "RetryPolicy",
    "Run",
    "RunContext",
    "RunIterator",
    "RunResult",
    "Session",
    "SessionStore",
    "TetherError",
    "Text",
    "TextDelta",
    "Thinking",
    "ThinkingDelta",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolExecutionEnd",
    "ToolExecutionStart",
    "ToolExecutionUpdate",
    "ToolResult",
    "ToolResultMessage",
    "TurnEnd",
    "TurnStart",
    "UnknownModelError",
    "Usage",
    "UsageError",
    "UserMessage",
    "Verdict",
    "Video",
    "context_window",
    "create_event_stream",
    "fallback",
    "from_json",
    "json_schema",
    "known_models",
    "model_from_name",
    "open_event_stream",
    "price_of",
    "sessions",
    "to_json",
    "tool",
)

_PLACES: Final = {
    "tether.agent": "Agent",
    "tether.approvals": "Approve Verdict",
    "tether.chat": "Chat",
    "tether.commands": "Commands",
    "tether.deltas": "TextDelta ThinkingDelta",
    "tether.errors": (
        "AgentBusyError BusyError LostClaimError ModelError NothingToContinueError "
        "OutputError TetherError UnknownModelError UsageError"
    ),
    "tether.events": (
        "AgentEnd AgentStart ApprovalAnswered ApprovalRequested Event MessageEnd MessageStart "
        "MessageUpdate ModelRetry ToolExecutionEnd ToolExecutionStart ToolExecutionUpdate "
        "TurnEnd TurnStart"
    ),
    "tether.hooks": "Deny Invocation ProceedTool RunContext",
    "tether.iterator": "RunIterator",
    "tether.limits": "Limits",
    "tether.media": "Audio Document Image Video",
    "tether.messages": (
        "AssistantMessage CustomMessage Message Prompt Queued Text Thinking ToolCall "
        "ToolResultMessage Usage UserMessage"
    ),
    "tether.model": "Model ModelOptions ModelRequest RetryPolicy",
    "tether.models.catalogue": "model_from_name",
    "tether.models.fallback": "fallback",
    "tether.models.knowledge": "context_window known_models price_of",
    "tether.pending": "PendingRun",
    "tether.result": "OutputResult RunResult",
    "tether.run": "Run",
    "tether.serialize": "from_json to_json",
    "tether.session": "Session SessionStore sessions",
    "tether.stream": "EventStream create_event_stream open_event_stream",
    "tether.tools": "Tool ToolContext ToolResult tool",
    "tether.vocabulary": "json_schema",
}
"""Where the names are, by module."""

if not TYPE_CHECKING:  # a checker would take every name for one that is there

    def __getattr__(name: str) -> Any:
        """Import a name of ours, or a public module, when it is first used."""
        for place, names in _PLACES.items():
            if name in names.split():
                found = globals()[name] = getattr(import_module(place), name)
                return found
        if not name.startswith("_"):
            try:
                return import_module(f"{__name__}.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"{__name__}.{name}":
                    raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
