"""Exceptions go through process pools and task queues as they are."""

import copy
import importlib
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tether
from tether import (
    AgentBusyError,
    AssistantMessage,
    BusyError,
    LostClaimError,
    ModelError,
    NothingToContinueError,
    OutputError,
    TetherError,
    UnknownModelError,
    UsageError,
)
from tether._json.misfit import Misfit
from tether.acp.jsonrpc import RpcError
from tether.cli.terminal import _LeftError  # pyright: ignore[reportPrivateUsage]
from tether.errors import (
    ArgumentsError,
    ConsumerTooSlowError,
    DecodeError,
    ToolDefinitionError,
    WorkerLostError,
)
from tether.host.errors import EndedError, LimitReachedError, NotFoundError
from tether.loop import End, Interruption
from tether.mcp.connection import ConnectionLostError
from tether.mcp.process import _MessageTooLargeError  # pyright: ignore[reportPrivateUsage]
from tether.mcp.schemas import SchemaRefusedError
from tether.mcp.server import _UnavailableError  # pyright: ignore[reportPrivateUsage]
from tether.replay.raised import RecordedError, RunCancelledError
from tether.replay.replaying import ReplayError
from tether.testing._steps import Overdue
from tether.testing._stuck import DeadlockError
from tether.testing.cassette import CassetteError
from tether.testing.explore.recordings import Written
from tether.testing.explore.search import ExploreError
from tether.testing.explore.tools import SimulatedError
from tether.testing.explore.trial import Outcome
from tether.toolbox.addresses import PrivateAddressError
from tether.toolbox.confinement import OutsideRootError
from tether.toolbox.seen import ChangedError
from tether.transport._exchanges import (
    ConnectionWasStaleError,  # pyright: ignore[reportPrivateUsage]
)
from tether.web.refusals import Refusal
from tether.web.remote.errors import RemoteError

RUN = Outcome(
    deviations={"calls.0": 2},
    sizes={},
    told={},
    fault=None,
    events=[],
    steps=[],
    asked=1,
    seconds=0.0,
)
EXAMPLES: list[BaseException] = [
    CassetteError("changed"),
    DeadlockError([]),
    ExploreError(
        "sold twice",
        backend="trio",
        run=3,
        found=RUN,
        shrunk=RUN,
        tried=9,
        written=Written(failed=Path("failed.jsonl")),
    ),
    PrivateAddressError("loopback"),
    RecordedError("TheirError", "theirs"),
    ReplayError("differs"),
    RunCancelledError("cancelled"),
    SimulatedError("chosen"),
    ChangedError("notes.txt has changed since it was read"),
    TetherError("root"),
    UsageError("wrong"),
    BusyError("in use"),
    LostClaimError("taken over"),
    NotFoundError("not found"),
    EndedError("deleted"),
    LimitReachedError("too many", limit="runs"),
    Refusal(404, "not_found", "there is no such thing", {"a": "b"}),
    ConnectionWasStaleError("stale"),
    RemoteError("gone", status=404, kind="not_found"),
    RpcError(-32600, "not a request", {"id": 1}),
    SchemaRefusedError("too deep"),
    ConnectionLostError("the server is gone", refused=True),
    _UnavailableError("not ready"),
    _MessageTooLargeError("too large"),
    AgentBusyError("busy"),
    NothingToContinueError("nothing"),
    ToolDefinitionError("no tool"),
    UnknownModelError("no model"),
    DecodeError("expected a string", path="$.content[0].text"),
    ModelError("gone", kind="connection"),
    ModelError(
        "slow down",
        kind="rate_limit",
        status=429,
        request_id="req_1",
        retry_after=2.5,
        partial=AssistantMessage("Hel", stop_reason="error"),
        closest=["this", "that"],
        failed_generation="<function=f>",
        hint="set KEY",
    ),
    ArgumentsError(["a: missing", "b: not a number"]),
    OutputError("no result", attempts=["first", "second"]),
    ConsumerTooSlowError("slow"),
    WorkerLostError("lost"),
    Interruption(End("aborted"), ("so far",)),
    OutsideRootError("out of bounds"),
    ChangedError("changed"),
    _LeftError("gone"),
    Misfit("no", "a", "b"),
    Overdue(),
]

WAYS: dict[str, Callable[[Any], Any]] = {
    "pickled": lambda error: pickle.loads(pickle.dumps(error)),
    "pickled as of old": lambda error: pickle.loads(pickle.dumps(error, protocol=0)),
    "copied": copy.copy,
    "copied deeply": copy.deepcopy,
    "all of it": lambda error: copy.copy(pickle.loads(pickle.dumps(copy.deepcopy(error)))),
}


STAY_WITHIN = {"_Ended", "_OpenAIRefusal", "_Refused", "_TooMuchError"}
"""They never leave the module that raises them."""


def exception_classes() -> Iterator[type[BaseException]]:
    """All that are defined in the package, wherever, but for those that stay within a module."""
    for info in pkgutil.walk_packages(tether.__path__, "tether."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, BaseException)
                and value.__module__ == info.name
                and value.__name__ not in STAY_WITHIN
            ):
                yield value


def test_there_is_an_example_of_every_exception() -> None:
    assert set(exception_classes()) == {type(error) for error in EXAMPLES}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("error", EXAMPLES, ids=repr)
def test_a_copy_is_like_the_original(error: BaseException, way: Callable[[Any], Any]) -> None:
    original = copy.deepcopy(error)
    original.add_note("seen in a worker")
    again = way(original)
    assert type(again) is type(original)
    assert str(again) == str(original)
    assert again.args == original.args
    assert vars(again) == vars(original)
    assert again.__notes__ == ["seen in a worker"]


def test_a_copy_has_notes_of_its_own() -> None:
    original = ModelError("gone", kind="server")
    original.add_note("one")
    copy.copy(original).add_note("two")
    assert original.__notes__ == ["one"]


def test_one_of_somebody_elses_can_be_copied_too() -> None:
    again = pickle.loads(pickle.dumps(TheirError("x", code=3)))
    assert (str(again), again.code) == ("theirs: x", 3)


class TheirError(UsageError):
    def __init__(self, what: str, *, code: int) -> None:
        super().__init__(f"theirs: {what}")
        self.code = code
