"""`tether replay FILE`: a recorded run again, without a network; step by step; or live from one of its events."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import click
import msgspec
from attrs import frozen

from tether import Agent, ModelError, UsageError, model_from_name
from tether.cli.assembly import add_permission, new_agent, policy_of
from tether.cli.command_line import command
from tether.cli.display import JsonLines, Screen
from tether.cli.door import as_door, notes
from tether.cli.exit_codes import ANSWERED, FAILED, WRONG_USAGE
from tether.cli.options import backend, whole
from tether.cli.permission.asking import ask_at_terminal
from tether.cli.permission.modes import Mode
from tether.cli.question import at_terminal
from tether.cli.recordings import recorded
from tether.cli.streams import in_utf8, warn
from tether.errors import DecodeError
from tether.replay import (
    Moment,
    RecordedRun,
    ReplayError,
    RunCancelledError,
    moments,
    read,
    replay,
)
from tether.serialize import to_builtins

__all__ = ()

_EXAMPLES: Final = """\
examples:
  tether --record run.jsonl "read README.md"
  tether replay run.jsonl
  tether replay run.jsonl --step              Enter goes on, b back, a number to that event, ? shows the keys
  tether replay run.jsonl --at 12             what was the case behind event 12, as JSON
  tether replay run.jsonl --fork 12 --say "use ripgrep" --model openai:gpt-5

A replay asks no model and runs no tool. --fork does both: it goes on live from an event, and records that anew.
"""
_KEYS: Final = """\
Enter, n  the next event       t  the conversation
b         the event before     r  the request
NUMBER    to an event          w  what waits: calls, questions, messages
q         leave                p  the reply that arrives
"""


@frozen(kw_only=True)
class ReplayArguments:
    """One call of `tether replay`."""

    path: Path
    run: int | None
    """Which run of the recording, counted from 1; all, or the last, if None."""
    json: bool
    step: bool
    at: int | None
    fork: int | None
    say: str | None
    model: str | None
    record: Path | None
    backend: str


@command("replay", epilog=_EXAMPLES)
@click.argument("path", metavar="FILE")
@click.option("--run", metavar="N", type=whole, help="run N of the recording; all by default")
@click.option("--json", is_flag=True, help="print events as JSON")
@click.option("--step", is_flag=True, help="step through the run, forward and back")
@click.option("--at", metavar="N", type=int, help="show what was the case behind event N")
@click.option("--fork", metavar="N", type=int, help="go on live from event N, in a new recording")
@click.option("--say", metavar="TEXT", help="with --fork: what to say")
@click.option("-m", "--model", metavar="NAME", help="with --fork: the model; else the recorded one")
@click.option("--record", metavar="NEW", help="with --fork: the new recording")
@backend
def replay_(**given: Any) -> ReplayArguments:
    """Replay the runs of a recording: nothing is asked and no tool runs."""
    ways = [name for name in ("step", "at", "fork") if given[name] not in {None, False}]
    if len(ways) > 1:
        raise click.UsageError(f"--{ways[0]} is not allowed with --{ways[1]}")
    if given["fork"] is None:
        for name in ("say", "model", "record"):
            if given[name] is not None:
                raise click.UsageError(f"--{name} is for --fork")
    new = given.pop("record")
    path = Path(given.pop("path"))
    return ReplayArguments(path=path, record=None if new is None else Path(new), **given)


async def run(arguments: ReplayArguments) -> int:
    """Replay, step or fork.

    Returns:
        The exit code: 0; 1 where a replay does something else than the recording, or the model of a fork failed; 2 if
        the file is no recording, or has no such run or event.

    Raises:
        OSError: it cannot be read, or the new one cannot be made.

    Cancellation:
        Ends it.
    """
    in_utf8(as_door(sys.stdout).stream)
    try:
        return await _run(arguments)
    except (UsageError, DecodeError) as error:
        warn(str(error))
        return WRONG_USAGE


async def _run(arguments: ReplayArguments) -> int:
    recording = read(arguments.path)
    if recording.torn:
        warn(f"{arguments.path} was cut off in the middle of a line, which is left out")
    runs = recording.runs
    if not runs or (arguments.run or 1) > len(runs):
        raise UsageError(
            f"{arguments.path} has {len(runs)} runs; there is no run {arguments.run or 1}"
        )
    if arguments.run is not None:
        runs = (runs[arguments.run - 1],)
    if arguments.step:
        await _step_through(moments(runs[-1]))
        return ANSWERED
    if arguments.at is not None:
        _show(_plain(_moment(runs[-1], arguments.at)))
        return ANSWERED
    if arguments.fork is not None:
        return await _fork(arguments, _moment(runs[-1], arguments.fork))
    codes = [await _replay(one, arguments) for one in runs]
    return max(codes)


async def _replay(run: RecordedRun, arguments: ReplayArguments) -> int:
    display = JsonLines(sys.stdout) if arguments.json else Screen(sys.stdout, notes())
    for message in () if arguments.json else run.prompts:
        print(f"> {message.text}", file=notes())
    try:
        async with replay(run) as events:
            async for event in events:
                display.show(event)
    except ReplayError as error:
        warn(str(error))
        return FAILED
    except RunCancelledError as error:
        warn(str(error))
    except Exception as error:  # noqa: BLE001 - the recorded run's own
        warn(f"the recorded run ended with {type(error).__name__}: {error}")
    return ANSWERED


# Stepping.


def _moment(run: RecordedRun, number: int) -> Moment:
    known = moments(run)
    if not 0 <= number < len(known):
        raise UsageError(f"the run has {len(known) - 1} events; there is no event {number}")
    return known[number]


async def _step_through(known: list[Moment] | Any) -> None:
    """Show one moment after the other, as the person says."""
    place = 0
    _show_line(known[place], len(known))
    while (line := await anyio.to_thread.run_sync(_line, abandon_on_cancel=True)) is not None:
        shown = _VIEWS.get(line)
        if line == "q":
            return
        if shown is not None:
            _show(shown(known[place]))
        elif line == "?":
            print(_KEYS, end="")
        elif (to := _place_after(line, place)) is None or not 0 <= to < len(known):
            print(f"there is nothing there; ? shows the keys (events 0 to {len(known) - 1})")
        else:
            place = to
            _show_line(known[place], len(known))


def _line() -> str | None:
    print("step> ", end="", flush=True)
    line = sys.stdin.readline()
    return line.strip() if line else None


def _place_after(line: str, place: int) -> int | None:
    match line:
        case "" | "n":
            return place + 1
        case "b":
            return place - 1
        case number if number.isdecimal() and len(number) < 10:  # int() takes not all of them
            return int(number)
        case _:
            return None


def _show_line(moment: Moment, of: int) -> None:
    event = "before the first event" if moment.event is None else _in_a_line(moment.event)
    done = "".join(f" [{one}]" for one in moment.inputs)
    print(f"{moment.number}/{of - 1}  {moment.seconds:.3f} s  {event}{done}")


def _in_a_line(event: Any) -> str:
    text = msgspec.json.encode(to_builtins(event)).decode()
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"


_WIDE: Final = 160


def _transcript(moment: Moment) -> Any:
    return [to_builtins(message) for message in moment.messages]


def _waits(moment: Moment) -> Any:
    return {
        "running": moment.running,
        "asked": moment.asked,
        "queued": [[queue, message.text] for queue, message in moment.queued],
        "retry": None if moment.retry is None else to_builtins(moment.retry),
    }


def _partial(moment: Moment) -> Any:
    return None if moment.partial is None else to_builtins(moment.partial)


def _request(moment: Moment) -> Any:
    return moment.request


_VIEWS: Final[dict[str, Callable[[Moment], Any]]] = {
    "t": _transcript,
    "r": _request,
    "w": _waits,
    "p": _partial,
}


def _plain(moment: Moment) -> Any:
    return {
        "number": moment.number,
        "seconds": moment.seconds,
        "event": None if moment.event is None else to_builtins(moment.event),
        "request": moment.request,
        "partial": _partial(moment),
        "waits": _waits(moment),
        "messages": _transcript(moment),
    }


def _show(value: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode(), flush=True)


# Going on.


async def _fork(arguments: ReplayArguments, moment: Moment) -> int:
    asked = moment.request or {}
    model = arguments.model or asked.get("model")
    if model is None:
        raise UsageError("no model was asked before that event: name one with --model")
    agent = new_agent(system=asked.get("system"), max_turns=None, session=None)
    agent.model = model_from_name(model)
    ask = ask_at_terminal if at_terminal() else None
    add_permission(agent, ask, policy_of(Mode("ask"), Path.cwd()))
    agent.reset(moment.messages)
    path = arguments.record or _free_name(arguments.path, moment.number)
    with recorded(agent, path):
        print(f"recording in {path}", file=notes(), flush=True)
        return await _go_on(agent, arguments.say)


async def _go_on(agent: Agent, say: str | None) -> int:
    display = Screen(sys.stdout, notes())
    try:
        async with agent.run(say) as run:
            async for event in run:
                display.show(event)
    except ModelError as error:
        warn(str(error))
        return FAILED
    return ANSWERED


def _free_name(path: Path, number: int) -> Path:
    return next(one for one in _names(path, number) if not one.exists())


def _names(path: Path, number: int) -> Iterator[Path]:
    yield path.with_name(f"{path.stem}.fork-{number}.jsonl")
    for again in range(2, 10_000):
        yield path.with_name(f"{path.stem}.fork-{number}-{again}.jsonl")
