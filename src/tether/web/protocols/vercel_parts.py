"""Parts of a UI message of the Vercel AI SDK. No I/O."""

from collections.abc import Iterator
from typing import Any, Final

from attrs import define, field

from tether.events import Event, MessageEnd, ToolExecutionEnd
from tether.messages import (
    AssistantMessage,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserBlock,
)
from tether.web.protocols.blocks import Closed, Step, written
from tether.web.protocols.content import Json, fault_of, text_of, url_of
from tether.web.protocols.runs import OpenRun

__all__ = (
    "PART_KINDS",
    "InnerMessage",
    "arguments_of",
    "input_available",
    "output_available",
    "output_error",
    "output_of",
    "preliminary",
    "ui_part",
)

PART_KINDS: Final = {"text": "text", "thinking": "reasoning"}
"""What the kinds of blocks are called."""


@define
class InnerMessage:
    """What is shown of an agent inside a call: the parts of a UI message."""

    parts: list[Json] = field(factory=list[Json])
    calls: dict[str, Json] = field(factory=dict[str, Json])

    def read(self, steps: Iterator[Step]) -> None:
        """Take in what came whole; to show each piece would send the message again each time."""
        for step in steps:
            match step:
                case Closed(block=Text(text) | Thinking(text)) if text:
                    self.parts.append(
                        {"type": PART_KINDS[step.kind], "text": text, "state": "done"}
                    )
                case Closed(id_, "call", name, ToolCall() as call):
                    self.calls[id_] = part = input_available(id_, name, arguments_of(call))
                    part |= {"type": "dynamic-tool", "state": "input-available"}
                    self.parts.append(part)
                case _:
                    pass

    def take(self, run: OpenRun, event: Event) -> bool:
        """Take in an event, and say whether there is something new to show."""
        match event:
            case MessageEnd(AssistantMessage() as reply):
                self.read(run.blocks.end(reply))
                return True
            case ToolExecutionEnd(call_id, _, result):
                self._end(run.blocks.id_of_call(call_id), result)
                return True
            case _:
                return False

    def _end(self, id_: str, result: ToolResultMessage) -> None:
        part = self.calls.get(id_)
        if part is None:
            return
        if result.is_error:
            part |= {"state": "output-error", "errorText": fault_of(result)}
        else:
            part |= {"state": "output-available", "output": output_of(result.content)}


def input_available(id_: str, name: str, arguments: Any) -> Json:
    """Write the arguments of a call."""
    return {
        "type": "tool-input-available",
        "toolCallId": id_,
        "toolName": name,
        "input": arguments,
        "dynamic": True,
    }


def arguments_of(call: ToolCall) -> Any:
    """Return the arguments of a call; as they came, where they could not be read."""
    return dict(call.arguments) if call.malformed is None else written(call)


def output_available(id_: str, output: object) -> Json:
    """Write the output of a call."""
    return {
        "type": "tool-output-available",
        "toolCallId": id_,
        "output": output,
        "dynamic": True,
    }


def output_error(id_: str, fault: str) -> Json:
    """Write why a call has no output."""
    return {"type": "tool-output-error", "toolCallId": id_, "errorText": fault, "dynamic": True}


def preliminary(id_: str, output: object) -> Json:
    """Write the output of a call so far."""
    return output_available(id_, output) | {"preliminary": True}


def output_of(content: tuple[UserBlock, ...]) -> Any:
    """Return the output of a tool: its text, or its parts where it is more than text."""
    if all(isinstance(block, Text) for block in content):
        return text_of(content)
    return [part for part in map(ui_part, content) if part is not None]


def ui_part(block: UserBlock) -> Json | None:
    """Return a block as a part; None for one that only a provider can read."""
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    if (url := url_of(block)) is None:
        return None
    return {"type": "file", "mediaType": block.media_type, "url": url}
