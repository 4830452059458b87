"""`tether top URL...`: any Prometheus or OpenMetrics endpoint, live; as text, JSON or CSV for pipes."""

import argparse
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import anyio
from attrs import frozen

from tether.cli.door import as_door
from tether.cli.keyboard import keyboard
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


def parse(words: Sequence[str]) -> TopArguments:
    """Read the words after `tether top`.

    Raises:
        UsageError: an address or a header is none.
        SystemExit: with code 2 for other wrong usage, with 0 for `--help`.
    """
    parser = _parser()
    options = parser.parse_args(words)
    form = (
        "json"
        if options.json
        else "csv"
        if options.csv
        else "text"
        if options.once or is_dumb()
        else "screen"
    )
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tether top",
        description="Show the metrics of servers live, as `top` shows a machine's processes.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("url", nargs="+", help="http://, https:// or unix: addresses; a host and a port; or :PORT")
    _add_forms(parser)
    _add_requests(parser)
    _add_rows(parser)
    add("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop")
    return parser


def _add_forms(parser: argparse.ArgumentParser) -> None:
    once = "print the table once, after two scrapes, and end"
    parser.add_argument("--once", action="store_true", help=once)
    add = parser.add_mutually_exclusive_group().add_argument
    for name, what in (("--json", "JSON"), ("--csv", "CSV")):
        line = f"print each label set as a line of {what}, again and again"
        add(name, action="store_true", help=line)


def _add_requests(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    every = "time between scrapes; 1 by default"
    window = "time that rates and quantiles are about; 10 by default"
    timeout = "time for one scrape; 10 by default"
    header = "send a header, such as 'X-Key: abc'"
    bearer = "send the token in FILE, which is read for each scrape"
    add("--every", metavar="SECONDS", type=_seconds, default=1.0, help=every)
    add("--window", metavar="SECONDS", type=_seconds, help=window)
    add("--timeout", metavar="SECONDS", type=_seconds, default=10.0, help=timeout)
    add("--header", metavar="LINE", action="append", default=[], help=header)
    add("--bearer-file", metavar="FILE", help=bearer)
    add("--insecure", action="store_true", help="accept any certificate")


def _add_rows(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    summed = "add several servers up, rather than show them side by side"
    order = "the order: activity on a screen and name on pipes, by default"
    words = "only rows whose name or labels have all these words"
    add("--sum", action="store_true", help=summed)
    add("--sort", choices=SORTS, help=order)
    add("--find", metavar="WORDS", default="", help=words)
    add("--active", action="store_true", help="only what moves")


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.05 <= number <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.05 to 86400")
    return number


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
    display = Display(_view(arguments, window), keyboard(), output)
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
