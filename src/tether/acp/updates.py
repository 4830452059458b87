"""From the events of a conversation to the session updates of the protocol. No I/O.

    TextDelta, ThinkingDelta           agent_message_chunk, agent_thought_chunk
    ToolCallStart                      tool_call, pending
    ToolExecutionStart                 tool_call_update: in_progress, with input, place and change
    ToolExecutionUpdate                tool_call_update with all output so far; a plan, or a terminal, from its details
    ToolExecutionEnd                   tool_call_update: completed or failed
    kept messages, as MessageEnd       the same as whole chunks

An update of a call replaces what was shown of it, so what a call has printed is gathered here, up to a bound.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from tether import (
    AgentStart,
    AssistantMessage,
    Event,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResultMessage,
    UserMessage,
)
from tether.acp.content import block_shown, text_block
from tether.deltas import ToolCallStart

__all__ = ("PLAN", "TERMINAL", "Update", "Updates")

Update: TypeAlias = dict[str, Any]

TERMINAL: Final = "acp_terminal"
"""The key, in the details of a tool's update, of the terminal of the editor that its command runs in."""
PLAN: Final = "plan"
"""The key, in the details of a tool's update, of a plan: a list of `content`, `priority` and `status`."""
_MOST_SHOWN: Final = 65_536
"""Characters of a call's output that are shown: its end."""


class Updates:
    """Makes the updates of one session.

    Args:
        tools: gives the tools of its agent.
        folder: the working folder, that paths are relative to.
    """

    def __init__(self, tools: Callable[[], Iterable[Tool]], folder: Path) -> None:
        self._tools = tools
        self._folder = folder
        self._live = False
        self._message_id = ""
        self._shown: dict[str, _Shown] = {}

    def of(self, event: Event, *, echo: bool = False) -> Iterator[Update]:
        """Give the updates of an event.

        Args:
            event: the event.
            echo: whether what the person said is among them; an editor shows by itself what it has sent.
        """
        match event:
            case MessageEnd(UserMessage(content=blocks)) if echo:
                for block in blocks:
                    yield {"sessionUpdate": "user_message_chunk", "content": block_shown(block)}
            case AgentStart():
                self._live = True
            case MessageStart(AssistantMessage(id=id_)):
                self._message_id = id_
            case MessageUpdate(TextDelta(text)) if text:
                yield self._chunk("agent_message_chunk", text)
            case MessageUpdate(ThinkingDelta(text)) if text:
                yield self._chunk("agent_thought_chunk", text)
            case MessageUpdate(ToolCallStart(id_, name)):
                yield self._begun(ToolCall(id_, name, {}))
            case MessageEnd(message) if not self._live:
                yield from self._kept(message)
            case ToolExecutionStart(call_id, name, arguments):
                yield self._started(ToolCall(call_id, name, arguments))
            case ToolExecutionUpdate():
                yield from self._progress(event)
            case ToolExecutionEnd(call_id, result=result):
                yield self._ended(call_id, result)
            case _:
                pass

    def call(self, call: ToolCall) -> Update:
        """Describe a call, for a question about it."""
        named = (tool for tool in self._tools() if tool.name == call.name)
        return _described_call(call, next(named, None), self._folder)

    def _chunk(self, kind: str, text: str) -> Update:
        update: Update = {"sessionUpdate": kind, "content": text_block(text)}
        return {**update, "messageId": self._message_id} if self._message_id else update

    def _begun(self, call: ToolCall) -> Update:
        described = self.call(call)
        self._shown[call.id] = _Shown()
        return {"sessionUpdate": "tool_call", "status": "pending", **described}

    def _started(self, call: ToolCall) -> Update:
        described = self.call(call)
        known = call.id in self._shown
        shown = self._shown.setdefault(call.id, _Shown())
        shown.first = described.get("content", [])
        kind = "tool_call_update" if known else "tool_call"
        return {"sessionUpdate": kind, "status": "in_progress", **described}

    def _progress(self, event: ToolExecutionUpdate) -> Iterator[Update]:
        details = event.details if isinstance(event.details, dict) else {}
        if isinstance(entries := details.get(PLAN), list):
            yield {"sessionUpdate": "plan", "entries": entries}
        shown = self._shown.setdefault(event.call_id, _Shown())
        if isinstance(terminal := details.get(TERMINAL), str):
            shown.first = [*shown.first, {"type": "terminal", "terminalId": terminal}]
        elif not shown.add(event):
            return
        yield {
            "sessionUpdate": "tool_call_update",
            "toolCallId": event.call_id,
            "content": shown.content,
        }

    def _ended(self, call_id: str, result: ToolResultMessage) -> Update:
        shown = self._shown.pop(call_id, None) or _Shown()
        return {
            "sessionUpdate": "tool_call_update",
            "toolCallId": call_id,
            "status": "failed" if result.is_error else "completed",
            "content": [*shown.first, *_content(result)],
        }

    def _kept(self, message: object) -> Iterator[Update]:
        match message:
            case AssistantMessage(id=id_, content=blocks):
                self._message_id = id_
                for block in blocks:
                    if isinstance(block, Text | Thinking) and block.text:
                        kind = "message" if isinstance(block, Text) else "thought"
                        yield self._chunk(f"agent_{kind}_chunk", block.text)
                    elif isinstance(block, ToolCall):
                        yield self._begun(block)
                        yield self._started(block)
            case ToolResultMessage(call_id=call_id):
                yield self._ended(call_id, message)
            case _:
                pass


class _Shown:
    """What is shown of a call that runs."""

    def __init__(self) -> None:
        self.first: list[Any] = []
        """What stays: a change of a file, a terminal."""
        self._output = ""

    def add(self, event: ToolExecutionUpdate) -> bool:
        """Add what was reported, or what an agent within the agent says; say whether that was anything."""
        match event.event:
            case None:
                text = "".join(block.text for block in event.content if isinstance(block, Text))
            case MessageUpdate(TextDelta(said)):
                text = said
            case ToolExecutionStart(name=name):
                text = f"\n[{name}]\n"
            case _:
                text = ""
        self._output = (self._output + text)[-_MOST_SHOWN:]
        return bool(text)

    @property
    def content(self) -> list[Any]:
        output = [{"type": "content", "content": text_block(self._output)}] if self._output else []
        return [*self.first, *output]


def _content(result: ToolResultMessage) -> list[Any]:
    return [{"type": "content", "content": block_shown(block)} for block in result.content]


def _described_call(call: ToolCall, tool: Tool | None, folder: Path) -> Update:
    """Describe a call as the protocol does: title, kind, places, change, input."""
    described: Update = {
        "toolCallId": call.id,
        "title": _title(call, tool),
        "kind": "other" if tool is None else tool.kind,
    }
    if call.arguments:
        described["rawInput"] = call.arguments
    path = call.arguments.get("path")
    if isinstance(path, str):
        place: Update = {"path": str(folder / path)}
        line = call.arguments.get("offset")
        described["locations"] = [place | ({"line": line} if isinstance(line, int) else {})]
        if tool is not None and tool.kind == "edit":
            described["content"] = list(_change(call, str(folder / path)))
    return described


def _title(call: ToolCall, tool: Tool | None) -> str:
    title = (tool.title if tool is not None else "") or call.name
    match call.arguments:
        case {"command": str(command)}:
            return command
        case {"path": str(told)} | {"pattern": str(told)} | {"url": str(told)}:
            return f"{title}: {told}"
        case _:
            return title


def _change(call: ToolCall, path: str) -> Iterator[Update]:
    match call.arguments:
        case {"old": str(old), "new": str(new)}:
            yield {"type": "diff", "path": path, "oldText": old, "newText": new}
        case {"content": str(new)}:
            yield {"type": "diff", "path": path, "newText": new}
        case _:
            pass
