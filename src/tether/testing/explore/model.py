"""A model whose replies, failures and delays are chosen."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint
from attrs import evolve

from tether import (
    AssistantMessage,
    ModelError,
    ModelRequest,
    RetryPolicy,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from tether.deltas import Delta, ReplyEnd, ReplyInfo
from tether.model import DeltaStream, Model
from tether.testing.explore.arguments import arguments
from tether.testing.explore.choices import Choices
from tether.testing.scripted import Part, ScriptedModel
from tether.testing.transcript_check import check_request

__all__ = ("SimulatedModel",)

MOST_REQUESTS: Final = 8
"""A model that was asked more often makes no more calls."""

_FAILURES: Final[Sequence[Callable[[], ModelError]]] = (
    lambda: ModelError("overloaded", kind="overloaded", status=529),
    lambda: ModelError("too many requests", kind="rate_limit", status=429, retry_after=2.0),
    lambda: ModelError("bad gateway", kind="server", status=502),
    lambda: ModelError("connection refused", kind="connection"),
    lambda: ModelError("the prompt is too long", kind="context_overflow", status=400),
    lambda: ModelError("invalid key", kind="authentication", status=401),
)
_CUTS: Final[Sequence[Callable[[], ModelError]]] = (
    lambda: ModelError("connection reset", kind="connection"),
    lambda: ModelError("not an event", kind="malformed"),
    lambda: ModelError("overloaded", kind="overloaded"),
)
_REPLY: Final = (
    "",
    *(f" fails: {failure().message}" for failure in _FAILURES),
    *(f"'s reply is cut off: {cut().message}" for cut in _CUTS),
    " is silent until it times out",
    "'s reply stops without its end",
    "'s reply reaches its output limit",
    " pauses its turn",
    " refuses",
)
_SILENT, _ENDLESS, _LENGTH, _PAUSE, _REFUSAL = range(1 + len(_FAILURES) + len(_CUTS), len(_REPLY))
_CALLS: Final = ("", "'s reply makes 1 call", *(f"'s reply makes {n} calls" for n in (2, 3, 4)))
_TEXTS: Final = ("Well then.", "", "A text of several words, to be read slowly.", "Ünïcödé 🚲")
_DELAYS: Final = (0.0, 0.5, 30.0)
_PATIENCE: Final = 120.0


class SimulatedModel:
    """A model that answers to a simulation.

    Args:
        choices: what its replies are made from.
        label: what stands before the number of a request in the names of sites.
        inner: a model whose replies are taken; only failures and delays are added.
        complain: told of a request that a strict provider would refuse.

    Attributes:
        arrived: what each request was seen to use, by its number.
    """

    retry: RetryPolicy | None = RetryPolicy()

    def __init__(
        self,
        choices: Choices,
        label: str,
        inner: Model | None,
        complain: Callable[[AssertionError], object],
    ) -> None:
        self.arrived: dict[int, Usage] = {}
        self.choices = choices
        self.inner = inner
        self._label = label
        # Who answers, for the words of the report.
        self._who = f"the model of {label[1:]}" if label else "the model"
        self._complain = complain
        self._calls = 0

    @property
    def name(self) -> str:
        """What the model is called."""
        return "simulated" if self.inner is None else self.inner.name

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[DeltaStream]:
        """Answer.

        Returns:
            A context manager that gives the deltas.

        Cancellation:
            At every await.
        """
        number = len(self.arrived)
        self.arrived[number] = Usage()
        return _Reply(self, number, request)

    def check(self, request: ModelRequest) -> None:
        """Refuse what a strict provider would refuse."""
        try:
            check_request(request)
        except AssertionError as error:
            self._complain(error)
            raise

    def site(self, kind: str, *rest: object) -> str:
        """Name a site."""
        return ".".join([kind + self._label, *map(str, rest)])

    def words(self, number: int, word: str) -> str:
        """Say of a request what happens to it."""
        which = f" at request {number + 1}" if number else ""
        return f"{self._who}{word}{which}"

    def open(self, number: int, request: ModelRequest, outcome: int) -> Any:
        """Open the stream of a reply."""
        if self.inner is not None:
            return self.inner.stream(request)
        parts = self._parts(number, request, outcome)
        return ScriptedModel(parts, name="simulated").stream(request)

    def _parts(self, number: int, request: ModelRequest, outcome: int) -> Sequence[Part]:
        """Write the reply to a request."""
        choose = self.choices.choose
        words = [f"reply {number + 1} of {self._who} says {text!r}" for text in _TEXTS]
        text = _TEXTS[choose(self.site("text", number), len(_TEXTS), words)]
        blocks: list[Any] = [Text(text)] if text else []
        if choose(self.site("think", number), 2, ("", f"{self._who} thinks")):
            blocks.insert(0, Thinking("hm, let me see"))
        wanted = 0
        if request.tools and number < MOST_REQUESTS:
            words = [self.words(number, word) for word in _CALLS]
            wanted = choose(self.site("calls", number), len(_CALLS), words)
        blocks += [self._call(number, place, request) for place in range(wanted)]
        usage = Usage(input_tokens=10 + number, output_tokens=1 + len(blocks))
        if outcome in (_LENGTH, _PAUSE, _REFUSAL):
            reason: Any = {_LENGTH: "length", _PAUSE: "pause", _REFUSAL: "refusal"}[outcome]
            kept = [
                block for block in blocks if outcome == _LENGTH or not isinstance(block, ToolCall)
            ]
            message = AssistantMessage(kept or "Hm.", stop_reason=reason, usage=usage)
            return [*message.content, ReplyEnd(evolve(message, model="simulated"))]
        return [ReplyInfo(usage=usage), *(blocks or ["Nothing."])]

    def _call(self, number: int, place: int, request: ModelRequest) -> ToolCall:
        site = self.site("call", number, place)
        specs = request.tools
        names = [spec.name for spec in specs]
        who = f"call {place + 1} in reply {number + 1} of {self._who}"
        words = [f"{who} is of {name}" for name in names]
        words += [f"{who} {fault}" for fault in _BAD_CALLS]
        which = self.choices.choose(site, len(words), words)
        self._calls += 1
        id_ = f"call_{self._calls}" if not self._label else f"call{self._label}_{self._calls}"
        if which < len(specs):
            made = arguments(specs[which].parameters, self.choices, f"arg.{site[5:]}")
            return ToolCall(id_, specs[which].name, made)
        match which - len(specs):
            case 0:
                return ToolCall(id_, "unknown", {})
            case 1:
                return ToolCall(id_, names[0], malformed='{"a": ')
            case 2:
                return ToolCall("same", names[0], {})
            case _:
                return ToolCall(id_, names[0], {"no such thing": json.loads("[null]")})


_BAD_CALLS: Final = (
    "is of an unknown tool",
    "is no JSON",
    "has the id of another",
    "has wrong arguments",
)


class _Reply:
    """One reply: the context manager, and the iterator that it gives."""

    def __init__(self, model: SimulatedModel, number: int, request: ModelRequest) -> None:
        self._model = model
        self._number = number
        self._request = request
        self._opened: Any = None
        self._deltas: Any = None
        self._count = 0
        self._outcome = 0
        self._left: int | None = None
        # How many deltas come before the reply is cut off; None where it is not.

    async def __aenter__(self) -> "_Reply":
        await checkpoint()
        model, number = self._model, self._number
        model.check(self._request)
        site = model.site("reply", number)
        self._outcome = outcome = model.choices.choose(site, len(_REPLY))
        if outcome:
            model.choices.told[site] = model.words(number, _REPLY[outcome])
        await self._delay()
        if 0 < outcome <= len(_FAILURES):
            raise _FAILURES[outcome - 1]()
        if outcome == _SILENT:
            await anyio.sleep(_PATIENCE)
            raise ModelError("no answer", kind="timeout")
        if len(_FAILURES) < outcome < _SILENT or outcome == _ENDLESS:
            words = [f"it is cut off behind {n} deltas" for n in range(12)]
            self._left = model.choices.choose(model.site("cut", number), 12, words)
        self._opened = model.open(number, self._request, outcome)
        self._deltas = await self._opened.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any:
        if self._opened is not None:
            return await self._opened.__aexit__(kind, error, traceback)  # noqa: ASYNC102 - its own affair
        return None

    def __aiter__(self) -> "_Reply":
        return self

    async def __anext__(self) -> Delta:
        await self._delay()
        if self._left is not None:
            if not self._left:
                self._cut()
            self._left -= 1
        delta: Delta = await self._deltas.__anext__()
        match delta:
            case ReplyInfo(usage=Usage() as usage) | ReplyEnd(AssistantMessage(usage=usage)):
                self._model.arrived[self._number] = usage
            case _:
                pass
        return delta

    def _cut(self) -> None:
        if self._outcome == _ENDLESS:
            raise StopAsyncIteration
        raise _CUTS[self._outcome - 1 - len(_FAILURES)]()

    async def _delay(self) -> None:
        model = self._model
        site = model.site("delta", self._number, self._count)
        self._count += 1
        if answer := model.choices.choose(site, len(_DELAYS), _DELAY_WORDS):
            await anyio.sleep(_DELAYS[answer])


_DELAY_WORDS: Final = ("", *(f"the model's next delta takes {delay:g} s" for delay in _DELAYS[1:]))
