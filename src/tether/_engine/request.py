"""Make the request of a turn: the transcript, as the hooks let the model see it."""

from collections.abc import Sequence
from typing import cast

from tether._engine.parts import RunParts
from tether._engine.turn_settings import TurnSettings
from tether.hooks import RequestContext, call_hook
from tether.messages import AssistantMessage, CustomMessage, Message
from tether.model import ModelMessage, ModelRequest
from tether.transcript import Repaired, repaired

__all__ = ("build_request",)


async def build_request(
    parts: RunParts, settings: TurnSettings, context: RequestContext
) -> ModelRequest:
    """Make of the transcript what the model is sent.

    The hooks see it in this order: `transform_context` the list of messages, `convert` each custom message
    left in it, `before_model` the request.

    Raises:
        Exception: what a hook raised.
    """
    hooks = parts.hooks
    transforms = hooks.at("transform_context")
    messages: Sequence[Message] = list(parts.transcript) if transforms else ()
    for hook in transforms:
        given = (messages, context) if hook.takes_two else (messages,)
        answer = await call_hook(hook, *given)
        messages = messages if answer is None else list(answer)
    valid = repaired(messages) if transforms else parts.transcript.for_model()
    request = ModelRequest(
        messages=await _converted(parts, _without_incomplete_end(valid)),
        system=settings.system,
        tools=[tool.spec for tool in settings.tools.values()],
        options=settings.options,
    )
    for hook in hooks.at("before_model"):
        request = await call_hook(hook, request) or request
    return request


def _without_incomplete_end(messages: Repaired) -> Repaired:
    """Leave out an incomplete reply when nothing has followed it: it is asked for again."""
    last = messages[-1] if messages else None
    incomplete = isinstance(last, AssistantMessage) and last.incomplete
    return Repaired(messages[:-1]) if incomplete else messages


async def _converted(parts: RunParts, messages: Repaired) -> Sequence[ModelMessage]:
    if not any(type(message) is CustomMessage for message in messages):
        return cast("Sequence[ModelMessage]", messages)
    converted: list[ModelMessage] = []
    added = False
    for message in messages:
        if isinstance(message, CustomMessage):
            given = await _convert(parts, message)
            converted += given
            added = added or bool(given)
        else:
            converted.append(message)
    return converted if added else cast("Sequence[ModelMessage]", Repaired(converted))


async def _convert(parts: RunParts, message: CustomMessage) -> Sequence[ModelMessage]:
    for hook in parts.hooks.at("convert"):
        answer = await call_hook(hook, message)
        if answer is not None:
            return cast(
                "Sequence[ModelMessage]",
                answer if isinstance(answer, list | tuple) else [answer],
            )
    return ()
