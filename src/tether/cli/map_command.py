"""`tether map PROMPTS`: a run for each prompt of a file, so many at once."""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import anyio
import click
from anyio.to_thread import run_sync
from attrs import define, field, frozen

from tether import Agent, BusyError, Limits, UsageError, model_from_name
from tether.cli.aliases import known_aliases
from tether.cli.assembly import add_permission, policy_of
from tether.cli.command_line import command
from tether.cli.databases import check_takeover, opened, takeover
from tether.cli.default_model import NO_KEY, default_model
from tether.cli.door import as_door
from tether.cli.options import backend, whole
from tether.cli.permission.modes import Mode
from tether.cli.streams import in_utf8, warn
from tether.cli.wording import explained, in_words, waiting
from tether.many import Answer, Answers, KeptConversations, Results, ResultsFile, each, read_prompts
from tether.many.results import described
from tether.toolbox import coding_tools

__all__ = ()

_EXAMPLES = """\
examples:
  tether map prompts.jsonl --at-once 50 --results answers.jsonl
  tether map prompts.txt --store sqlite:///map.db | jq -r .text
  ls *.py | sed 's/^/Review /' | tether map - --yes --max-cost 2

Each line is a prompt: {"prompt": "..."}, a string in JSON, or text. Each answer is a line of JSON on standard output,
with the `place` of its prompt, in the order in which the answers come. With --results or --store, the same command goes
on where it was interrupted: prompts that were answered are not asked again. With --store, a prompt that was cut off
in the middle goes on from there. If the command was killed, it waits up to half a minute until the conversations of the
killed process are free; with --takeover it does not.

Tools that only read always run. Calls of tools that write files or run commands are denied, unless --yes is given.
"""


@frozen(kw_only=True)
class MapArguments:
    """One call of `tether map`."""

    prompts: Sequence[str]
    model: str
    system: str | None
    at_once: int
    limits: Limits
    max_turns: int | None
    results: str | None
    store: str | None
    takeover: bool
    name: str
    """What the conversations in the store are called."""
    yes: bool
    backend: str


@command("map", epilog=_EXAMPLES)
@click.argument("prompts")
@click.option("-m", "--model", metavar="NAME", help="such as openai:gpt-5; see `tether models`")
@click.option("--system", metavar="TEXT", help="the system prompt")
@click.option(
    "--at-once", metavar="N", type=whole, default=8, help="how many runs at once; 8 by default"
)
@click.option("--results", metavar="FILE", help="keep the answers in a file")
@click.option(
    "--store",
    metavar="URL",
    help="keep the conversations in a database: sqlite:///map.db or postgresql://host/database",
)
@takeover
@click.option("--max-cost", metavar="AMOUNT", type=float, help="what all runs may cost together")
@click.option("--max-turns", metavar="N", type=whole, help="how many turns each run may take")
@click.option("--yes", is_flag=True, help="let tools write files and run commands")
@backend
def map_(**given: Any) -> MapArguments:
    """Run the agent once for each prompt of a file, so many at once.

    PROMPTS is a file with a prompt in each line; - for standard input.
    """
    options = SimpleNamespace(**given)
    if options.results and options.store:
        raise click.UsageError("--results is not allowed with --store")
    check_takeover(options.store, takeover=options.takeover)
    model = options.model or os.environ.get("TETHER_MODEL") or default_model(os.environ)
    if model is None:
        warn(NO_KEY)
    return MapArguments(
        prompts=_prompts(options.prompts, sys.stdin),
        model=known_aliases().get(model or "", model or "offline"),
        system=options.system,
        at_once=options.at_once,
        limits=Limits(cost=options.max_cost),
        max_turns=options.max_turns,
        results=options.results,
        store=options.store,
        takeover=options.takeover,
        name="prompts" if options.prompts == "-" else Path(options.prompts).stem,
        yes=options.yes,
        backend=options.backend,
    )


async def run(arguments: MapArguments) -> int:
    """Have the prompts answered.

    Returns:
        The exit code: 0 if all were answered, 1 if one failed, 2 if the model or the store is not to be had, 3 if a
        limit was reached.

    Raises:
        OSError: an answer cannot be written.

    Cancellation:
        Cancels all runs. What was printed is kept.
    """
    in_utf8(as_door(sys.stdout).stream)
    try:
        return await _answer_all(arguments)
    except UsageError as error:
        warn(explained(error))
        return 2


async def _answer_all(arguments: MapArguments) -> int:
    agent = _agent(arguments)
    async with _results(arguments) as results:
        runs = each(
            agent,
            arguments.prompts,
            at_once=arguments.at_once,
            limits=arguments.limits,
            results=results,
        )
        async with runs as answers:
            with _bar(answers, len(arguments.prompts)) as move:
                async for answer in answers:
                    print(json.dumps(_line(answer), default=str), flush=True)
                    move()
    return _closed(answers)


@contextmanager
def _bar(answers: Answers, total: int) -> Iterator[Callable[[], object]]:
    """Show how far it is, where standard error is a terminal and standard output is not."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - where there is a terminal
    from rich.progress import Progress, TextColumn  # noqa: PLC0415

    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[spent]}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("answers", total=total, spent="")

        def move() -> None:
            now = answers.progress
            spent = f"{now.failed} failed, {now.usage.total_tokens:,} tokens"
            bar.update(task, completed=now.done + now.failed + now.kept, spent=spent)

        yield move


def _agent(arguments: MapArguments) -> Agent:
    agent = Agent(
        model_from_name(arguments.model),
        system=arguments.system,
        tools=coding_tools("."),
        limits=Limits(turns=arguments.max_turns),
    )
    add_permission(agent, None, policy_of(Mode.ALL if arguments.yes else Mode.ASK, Path.cwd()))
    return agent


@asynccontextmanager
async def _results(arguments: MapArguments) -> AsyncIterator[Results | None]:
    if arguments.store is not None:
        open_store = partial(opened, arguments.store, takeover=arguments.takeover)
        store = await run_sync(open_store)
        try:
            yield KeptConversations(store, arguments.name, on_claimed=_Waiting())
        finally:
            with anyio.move_on_after(5, shield=True):
                await run_sync(store.close, abandon_on_cancel=True)
    else:
        yield None if arguments.results is None else ResultsFile(arguments.results)


def _line(answer: Answer) -> Mapping[str, Any]:
    line = described(answer)
    if (error := answer.error) is not None:
        line["error"] = f"{type(error).__name__}: {in_words(error)}"
    return line


@define
class _Waiting:
    """Says once that conversations are waited for."""

    _is_said: bool = field(default=False, init=False)

    def __call__(self, error: BusyError) -> None:
        """Take the error that says who has one."""
        if not self._is_said:
            self._is_said = True
            warn(waiting(error))


def _closed(answers: Answers) -> int:
    progress = answers.progress
    parts = [f"{progress.done} answered", f"{progress.failed} failed" if progress.failed else ""]
    parts.append(f"{progress.kept} before" if progress.kept else "")
    parts.append(f"{progress.usage.total_tokens:,} tokens")
    parts.append(f"${progress.cost:.4f}" if progress.cost else "")
    parts.append(f"the limit of {progress.limit} was reached" if progress.limit else "")
    print(", ".join(filter(None, parts)), file=sys.stderr)
    if progress.limit:
        return 3
    return 1 if progress.failed else 0


def _prompts(name: str, stdin: TextIO) -> Sequence[str]:
    try:
        text = stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: {error}") from error
    try:
        return list(read_prompts(text.split("\n")))
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
