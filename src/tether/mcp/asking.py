"""What a server may ask for while it serves a call: the person, the model, the folders.

A question belongs to a call: the time that the answer takes is no part of the call's, what the model spends counts for
the run that calls, and the question ends with the call.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
from attrs import define, field, frozen
from pydantic import FileUrl

from mcp import types
from tether.agent import Agent
from tether.errors import ModelError, UsageError
from tether.hooks import call_maybe_async
from tether.limits import Limits
from tether.mcp.printable import one_line, printable
from tether.mcp.results import as_blocks
from tether.messages import AssistantMessage, JsonObject, Message, Text, UserMessage
from tether.model import Model, ModelOptions
from tether.tools import ToolContext

__all__ = ("Answer", "Ask", "Calls", "Elicitation", "OpenCall", "Questions", "as_roots")

_LONGEST_QUESTION: Final = 4000
_MOST_WAITING: Final = 16
"""Questions of one server that may wait at once."""
_MOST_TOKENS: Final = 32_000


@frozen
class Elicitation:
    """A server asks a person."""

    server: str
    tool: str | None
    """The tool whose call it serves, where that is known."""
    message: str
    fields: Mapping[str, JsonObject] = field(factory=dict)
    """What it wants to know: a JSON Schema of a text, a number, a boolean or a choice, by name."""
    required: tuple[str, ...] = ()
    url: str | None = None
    """An address that the person is to open instead."""


Answer: TypeAlias = Mapping[str, Any] | bool | None
"""The fields, or True where there are none to fill; False declines, and None dismisses the question."""

Ask: TypeAlias = Callable[[Elicitation], Answer | Awaitable[Answer]]


@define(eq=False)
class OpenCall:
    """A call that a server serves now."""

    tool: str
    context: ToolContext[Any]
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    questions: set[anyio.CancelScope] = field(factory=set)
    failure: Exception | None = None
    """What answering a question raised."""


_CURRENT: Final[ContextVar[OpenCall | None]] = ContextVar("tether_mcp_call", default=None)


@define(eq=False)
class Calls:
    """The calls that one connection serves now."""

    _open: dict[OpenCall, None] = field(factory=dict)

    @contextmanager
    def begun(self, call: OpenCall) -> Iterator[None]:
        """Hold a call open for the time of a block; questions that are open at its end are withdrawn."""
        self._open[call] = None
        token = _CURRENT.set(call)
        try:
            yield
        finally:
            _CURRENT.reset(token)
            del self._open[call]
            for scope in call.questions:
                scope.cancel()

    def asking(self) -> OpenCall | None:
        """The call that a question belongs to; where the protocol does not say which, the latest."""
        current = _CURRENT.get()
        return current if current in self._open else next(reversed(self._open), None)

    def cut_off(self) -> None:
        """End all calls, since their answers cannot come any more."""
        for call in self._open:
            call.scope.cancel()


@define(eq=False)
class Questions:
    """Answers what servers ask for.

    Args:
        ask: asks the person; None where there is nobody to ask.
        model: finds the model to ask; None where servers may ask none.
        roots: the folders that servers may know.
    """

    ask: Ask | None
    model: Callable[[], Model | None] | None
    roots: tuple[Path, ...]

    def callbacks(self, server: str, calls: Calls) -> dict[str, Any]:
        """Make what the SDK's client calls."""
        asked = _Asked(self, server, calls)
        return {
            "elicitation_callback": None if self.ask is None else asked.elicit,
            "sampling_callback": None if self.model is None else asked.sample,
            "list_roots_callback": asked.list_roots if self.roots else None,
        }


@define(eq=False)
class _Asked:
    """What one connection asks for."""

    _questions: Questions
    _server: str
    _calls: Calls
    _waiting: int = 0

    async def elicit(
        self, _: object, params: types.ElicitRequestParams
    ) -> types.ElicitResult | types.ErrorData:
        ask = self._questions.ask
        call = self._calls.asking()
        if ask is None or call is None:
            return _refusal("it asks a person outside of a call")
        question = _elicitation(self._server, call.tool, params)
        answer = await self._answered(call, lambda: call_maybe_async(ask, question))
        return answer if isinstance(answer, types.ErrorData) else _elicited(answer, question)

    async def sample(
        self, _: object, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        call = self._calls.asking()
        model = self._questions.model and self._questions.model()
        if model is None or call is None:
            return _refusal("there is no model to ask, or no call that it is asked for")
        if reached := call.context.limits.reached(call.context.spent):
            return _refusal(f"the run has reached its limit of {reached}")
        sampled: types.CreateMessageResult | types.ErrorData = await self._answered(
            call, lambda: _sampled(model, params, call.context)
        )
        return sampled

    async def list_roots(self, _: object) -> types.ListRootsResult:
        roots = [types.Root(uri=FileUrl(root.as_uri())) for root in self._questions.roots]
        return types.ListRootsResult(roots=roots)

    async def _answered(self, call: OpenCall, work: Callable[[], Awaitable[Any]]) -> Any:
        """Answer, for no longer than the call goes on; what it raises is raised by the call."""
        if self._waiting >= _MOST_WAITING:
            return _refusal(f"more than {_MOST_WAITING} of its questions wait already")
        self._waiting += 1
        scope = anyio.CancelScope()
        call.questions.add(scope)
        try:
            with scope, call.context.paused():
                return await work()
        except Exception as error:  # noqa: BLE001 - the call raises it
            call.failure = error
        finally:
            call.questions.discard(scope)
            self._waiting -= 1
        return _refusal("the question was withdrawn")


def _refusal(reason: str) -> types.ErrorData:
    return types.ErrorData(code=types.INVALID_REQUEST, message=reason)


def _elicitation(server: str, tool: str, params: types.ElicitRequestParams) -> Elicitation:
    message = printable(params.message, _LONGEST_QUESTION)
    if isinstance(params, types.ElicitRequestURLParams):
        return Elicitation(server, tool, message, url=one_line(params.url, 2000))
    schema = params.requested_schema
    found = schema.get("properties")
    fields = found if isinstance(found, Mapping) else {}
    required = schema.get("required")
    return Elicitation(
        server,
        tool,
        message,
        {
            one_line(name, 100): about if isinstance(about, Mapping) else {}
            for name, about in fields.items()
        },
        tuple(name for name in required if isinstance(name, str))
        if isinstance(required, list)
        else (),
    )


def _elicited(answer: Any, question: Elicitation) -> types.ElicitResult:
    match answer:
        case None:
            return types.ElicitResult(action="cancel")
        case False:
            return types.ElicitResult(action="decline")
        case True:
            return types.ElicitResult(action="accept", content=None if question.url else {})
        case Mapping():
            return types.ElicitResult(action="accept", content=dict(answer))
        case other:
            raise UsageError(f"ask answers with the fields, True, False or None, not {other!r}")


async def _sampled(
    model: Model, params: types.CreateMessageRequestParams, context: ToolContext[Any]
) -> types.CreateMessageResult | types.ErrorData:
    """Have the model answer a server, at the cost of the run that calls."""
    *before, last = [_message(one) for one in params.messages] or [UserMessage("")]
    if not isinstance(last, UserMessage):
        return _refusal("the last message must be one of the user")
    agent = Agent(
        model,
        system=printable(params.system_prompt, 20_000) if params.system_prompt else None,
        messages=before,
        options=ModelOptions(
            max_output_tokens=max(1, min(params.max_tokens, _MOST_TOKENS)),
            temperature=params.temperature,
            stop_sequences=tuple(params.stop_sequences or ()),
        ),
        limits=Limits(turns=1),
        price=context.price,
    )
    run = None
    try:
        async with agent.run(last) as run:
            await run.result()
    except ModelError as error:
        return _refusal(f"the model failed: {error.kind}")
    finally:
        if run is not None:
            context.spend(run.usage, run.cost)
    return _created(agent.messages[-1], model)


def _message(message: types.SamplingMessage) -> Message:
    content = message.content if isinstance(message.content, list) else [message.content]
    blocks = as_blocks(content)
    if message.role == "user":
        return UserMessage(blocks)
    return AssistantMessage([block for block in blocks if isinstance(block, Text)])


def _created(reply: Message, model: Model) -> types.CreateMessageResult:
    long = isinstance(reply, AssistantMessage) and reply.stop_reason == "length"
    return types.CreateMessageResult(
        role="assistant",
        content=types.TextContent(type="text", text=reply.text),
        model=model.name,
        stop_reason="maxTokens" if long else "endTurn",
    )


def as_roots(roots: Iterable[Any]) -> tuple[Path, ...]:
    """Take folders as people give them: paths, or the `Root` of a toolbox.

    Raises:
        UsageError: something is no folder.
    """
    if isinstance(roots, str):
        raise UsageError(f"roots must be a list of folders, such as [{roots!r}], not a text")
    found = tuple(Path(getattr(root, "path", root)).resolve() for root in roots)
    for one in found:
        if not one.is_dir():
            raise UsageError(f"{one} is no folder, and cannot be a root")
    return found
