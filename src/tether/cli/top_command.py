"""`tether top URL...`: any Prometheus or OpenMetrics endpoint, live; as text, JSON or CSV for pipes."""

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

import anyio
import click
from attrs import frozen

from tether.cli.command_line import command, read
from tether.cli.door import as_door
from tether.cli.keyboard import keyboard
from tether.cli.options import backend, together
from tether.cli.streams import in_utf8
from tether.cli.terminal import is_dumb
from tether.top.endpoint import Endpoint, endpoint, headers_of
from tether.top.pipes import CSV_TITLES, csv_lines, json_lines, text_lines
from tether.top.scrape import Options, watch
from tether.top.source import Failure, Outcome, Source
from tether.top.table import SORTS, Choice
from tether.top.view import WINDOWS, View

__all__ = ()

_EXAMPLES = """\
examples:
  tether top http://127.0.0.1:9100/metrics
  tether top :9090 :9091 :9092             three servers of this machine, side by side
  tether top unix:/run/app.sock --sum
  tether top :9100 --once                  the table as text, once
  tether top :9100 --json --once | jq 'select(.rate > 0) | .name'
  tether top https://host/metrics --bearer-file token

An address without a path has the path /metrics. `?` shows the keys. `tether help top` shows the guide.
"""
_PIPE_WIDTH = 160
"""Columns where standard output is no terminal."""


@frozen(kw_only=True)
class TopArguments:
    """One call of `tether top`."""

    endpoints: Sequence[Endpoint]
    options: Options
    backend: str
    once: bool
    form: str
    """screen, text, json or csv."""
    window: float | None
    choice: Choice
    summed: bool


def _seconds(text: str | float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.05 <= number <= 86_400:
        raise click.BadParameter(f"{text!r} is not a number of seconds from 0.05 to 86400")
    return number


_forms: Final = together(
    click.option("--once", is_flag=True, help="print the table once, after two scrapes, and end"),
    click.option(
        "--json", is_flag=True, help="print each label set as a line of JSON, again and again"
    ),
    click.option(
        "--csv", is_flag=True, help="print each label set as a line of CSV, again and again"
    ),
)
_requests: Final = together(
    click.option(
        "--every",
        metavar="SECONDS",
        type=_seconds,
        default=1.0,
        help="time between scrapes; 1 by default",
    ),
    click.option(
        "--window",
        metavar="SECONDS",
        type=_seconds,
        help="time that rates and quantiles are about; 10 by default",
    ),
    click.option(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=10.0,
        help="time for one scrape; 10 by default",
    ),
    click.option(
        "--header", metavar="LINE", multiple=True, help="send a header, such as 'X-Key: abc'"
    ),
    click.option(
        "--bearer-file",
        metavar="FILE",
        help="send the token in FILE, which is read for each scrape",
    ),
    click.option("--insecure", is_flag=True, help="accept any certificate"),
)
_rows: Final = together(
    click.option(
        "--sum",
        is_flag=True,
        help="add several servers up, rather than show them side by side",
    ),
    click.option(
        "--sort",
        type=click.Choice(SORTS),
        help="the order: activity on a screen and name on pipes, by default",
    ),
    click.option(
        "--find",
        metavar="WORDS",
        default="",
        help="only rows whose name or labels have all these words",
    ),
    click.option("--active", is_flag=True, help="only what moves"),
)


@command("top", epilog=_EXAMPLES)
@click.argument("url", metavar="URL...", nargs=-1, required=True)
@_forms
@_requests
@_rows
@backend
def top(**given: Any) -> TopArguments:
    """Show the metrics of servers live, as `top` shows a machine's processes.

    URL is an http://, https:// or unix: address; a host and a port; or :PORT.
    """
    options = SimpleNamespace(**given)
    if options.json and options.csv:
        raise click.UsageError("--json is not allowed with --csv")
    form = _form(options)
    window = options.window
    if window is None and form == "screen":
        window = 10.0
    return TopArguments(
        endpoints=[endpoint(one) for one in options.url],
        options=Options(
            every=options.every,
            timeout=options.timeout,
            headers=headers_of(options.header),
            bearer_file=options.bearer_file,
            insecure=options.insecure,
        ),
        backend=options.backend,
        once=options.once or form == "text",
        form=form,
        window=window,
        choice=Choice(
            sort=options.sort or ("activity" if form == "screen" else "name"),
            only_active=options.active,
            words=options.find,
        ),
        summed=options.sum,
    )


def _form(options: SimpleNamespace) -> str:
    if options.json or options.csv:
        return "json" if options.json else "csv"
    return "text" if options.once or is_dumb() else "screen"


def parse(words: Sequence[str]) -> TopArguments:
    """Read the words after `tether top`.

    Raises:
        UsageError: an address or a header is none.
        SystemExit: with code 2 for other wrong usage, with 0 for `--help`.
    """
    made: TopArguments = read(top, words)
    return made


async def run(arguments: TopArguments) -> int:
    """Show the servers until the person leaves, or print them.

    Returns:
        The exit code: 0; 1 if a server did not answer the only time.

    Cancellation:
        The terminal is put back, and connections are closed.
    """
    if arguments.form == "screen":
        await _on_screen(arguments)
        return 0
    if arguments.form == "json":
        in_utf8(as_door(sys.stdout).stream)
    return await _on_pipe(arguments)


def _view(arguments: TopArguments, window: float | None) -> View:
    sources = [Source(one.name) for one in arguments.endpoints]
    return View(sources, window, choice=arguments.choice, summed=arguments.summed)


async def _on_screen(arguments: TopArguments) -> None:
    from prompt_toolkit.output import create_output  # noqa: PLC0415 - only at a terminal

    from tether.top.application import Display  # noqa: PLC0415 - as above

    window = arguments.window
    if window not in WINDOWS:
        window = min(
            (one for one in WINDOWS if one), key=lambda one: abs(one - (arguments.window or 10))
        )
    # It draws on the terminal itself: what others wrote is made visible before it gets there.
    output = create_output(as_door(sys.stdout).stream)
    display = Display(_view(arguments, window), keyboard(lone_escape="escape"), output)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, arguments.endpoints, arguments.options, display.take)
        await display.show()
        tasks.cancel_scope.cancel()


async def _on_pipe(arguments: TopArguments) -> int:
    """Print after two scrapes of each server, or when the window is full; then each time, or once."""
    view = _view(arguments, arguments.window)
    view.folded = arguments.form == "text"
    write = _writer(arguments.form, view)
    counts = [0] * len(view.sources)
    needed = (
        2 if arguments.window is None else math.ceil(arguments.window / arguments.options.every) + 1
    )
    ready = anyio.Event()

    def take(server: int, outcome: Outcome) -> None:
        nonlocal ready
        view.take(server, outcome)
        counts[server] += needed if isinstance(outcome, Failure) and arguments.once else 1
        if min(counts) >= needed:
            ready.set()

    if arguments.form == "csv":
        print(",".join(CSV_TITLES))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, arguments.endpoints, arguments.options, take)
        while True:
            await ready.wait()
            ready = anyio.Event()
            for line in write():
                print(line)
            sys.stdout.flush()
            if arguments.once:
                break
            counts[:] = [needed - 1] * len(counts)
        tasks.cancel_scope.cancel()
    return 1 if any(source.failure is not None for source in view.sources) and arguments.once else 0


def _writer(form: str, view: View) -> Callable[[], Iterable[str]]:
    if form == "csv":
        return partial(csv_lines, view)
    if form == "json":
        return partial(json_lines, view)
    width = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns
    return lambda: text_lines(view, width, time.time())
