"""The command line of a request or a conversation: its options and help, and where the request comes from."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO, TypeVar

import click
from attrs import evolve, frozen

from tether import UsageError
from tether.cli import completing
from tether.cli.command_line import ASK, SUBCOMMANDS, chosen, command, read
from tether.cli.options import backend, no_init, port, system, together, whole
from tether.cli.permission.modes import Mode
from tether.cli.streams import readable

__all__ = ()

F = TypeVar("F", bound=Callable[..., Any])

_EXAMPLES: Final = """\
Examples:
  tether                      start a conversation; /help lists its commands
  tether "read README.md and list src"
  tether --model groq:llama-3.3-70b-versatile "what does this project build?"
  tether --model openai-chat:any --base-url http://127.0.0.1:8000/v1 "hello"
  git diff | tether "review this change"
  echo "list tests" | tether
  tether resume 3f2a "go on please"
  tether --session work.jsonl "read README.md" && tether --session work.jsonl "go on"
  tether --json "search TODO in src" | jq -r .type
"""
_NOTES: Final = """\
Options may stand anywhere; after `--` every word is part of the request. What is piped in stands behind the words, or
where a word is `-`.

Tools that only read always run. Tools that write files or run commands ask first. Where there is no terminal
to ask at, their calls are denied, unless --yes is given.

Environment:
  TETHER_MODEL                the model, where --model is not given
  TETHER_CONFIG_HOME          the folder of init files
  TETHER_DATA_HOME            the folder of conversations
  TETHER_DEBUG                if set and not empty, errors are shown with their traceback
  NO_COLOR                    if set and not empty, no colours
  keys of providers           see `tether models`

Exit codes:
    0 answered, also where calls of tools were denied; or the conversation was left
    1 the model failed, or the answer could not be written
    2 wrong usage
    3 a limit was reached, such as that of --max-turns
  130 interrupted with Ctrl-C
  143 ended by SIGTERM; 129 by SIGHUP, such as when the terminal is closed; 131 by SIGQUIT
"""


def _epilog() -> str:
    lines = [
        f"  tether {f'{name} {one.usage}':27} {one.about}"
        for name, one in SUBCOMMANDS.items()
        if name != ASK
    ]
    more = "`tether SUBCOMMAND --help` says more of each."
    return "\n".join([_EXAMPLES, "Subcommands:", *lines, "", more, "", _NOTES])


@frozen(kw_only=True)
class Arguments:
    """One call of the command."""

    words: Sequence[str]
    """The request as it was typed, in which `-` stands for standard input."""
    request: str = ""
    """Empty for a conversation."""
    typed: str = ""
    """The part of the request that does not come from standard input."""
    model: str | None
    base_url: str | None
    backend: str
    system: str | None
    append_system: str | None
    max_turns: int | None
    template: str | None
    param: Mapping[str, str]
    """The values of the template's variables."""
    fragment: Sequence[str]
    file: Sequence[str]
    image: Sequence[str]
    schema: Any
    """The JSON Schema of the result, or its short form; None for a reply in words."""
    schema_multi: bool
    output: str | None
    """The file that the answer is written to."""
    piped: str = ""
    """What was piped in, where an option has said where it goes."""
    session: str | None
    no_session: bool
    resume: str | None
    """The first characters of an id; empty for the last conversation; None to start a new one."""
    goes_on: bool = False
    """Whether to go on with what was cut off, without a word: nobody is there to hold a conversation."""
    repair: bool
    json: bool
    mode: Mode
    no_init: bool
    metrics: int | None
    """The port at which metrics are served; None for none."""
    record: str | None
    """The file that the runs are recorded in; None for none."""


def parse(argv: Sequence[str], stdin: TextIO) -> Arguments:
    """Read the command line of a request or a conversation, and the request.

    Args:
        argv: the words after the command's name.
        stdin: see `with_input`.

    Returns:
        The arguments.

    Raises:
        UsageError: standard input cannot be read, or an option needs another one.
        SystemExit: with code 2 for other wrong usage, with 0 for `--help` and `--version`.
    """
    name, words = chosen(argv)
    made: Arguments = read(SUBCOMMANDS[name].command, words)
    return with_input(made, stdin)


def with_input(arguments: Arguments, stdin: TextIO) -> Arguments:
    """Complete the request with what is piped in.

    Args:
        arguments: as the command line has them.
        stdin: it stands where a word is `-`, else behind the words. A terminal is read only for `-`: without words, a
            conversation starts there.

    Returns:
        The arguments, with the request.

    Raises:
        UsageError: standard input is wanted and cannot be read, or the request is empty.
    """
    words = arguments.words
    if "-" in {*arguments.fragment, *arguments.file, *arguments.image}:
        arguments = _with_option(arguments, stdin)
        stdin = io.StringIO()
    elif not words:
        words = [] if stdin.isatty() else ["-"]
    if "-" in words:
        request = " ".join(_read(stdin) if word == "-" else readable(word) for word in words)
    else:
        piped = _piped(stdin) if words else ""
        request = "\n\n".join(filter(None, [readable(" ".join(words)), piped]))
    if words and not request.strip() and arguments.template is None:
        if arguments.resume is not None and not arguments.words:
            return evolve(arguments, goes_on=True)
        raise UsageError("the request is empty")
    typed = readable(" ".join(word for word in words if word != "-"))
    return evolve(arguments, request=request.strip(), typed=typed)


def _with_option(arguments: Arguments, stdin: TextIO) -> Arguments:
    """Read what is piped in for an option; the bytes of a file stay in standard input."""
    return evolve(arguments, piped=_read(stdin)) if "-" in arguments.fragment else arguments


def _read(stdin: TextIO) -> str:
    try:
        return stdin.read()
    except OSError as error:
        raise UsageError(f"standard input: {error.strerror or error}") from error


def _piped(stdin: TextIO) -> str:
    """Read what is piped in beside words; where nothing can be read, nothing was piped."""
    try:
        return "" if stdin.isatty() else stdin.read().strip()
    except (OSError, ValueError):
        return ""


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click calls it
    """Look the version up when it is asked for: that reads files."""
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import version  # noqa: PLC0415 - as the docstring says

    print(f"tether {version('tether')}")
    context.exit()


_about_the_model: Final = together(
    click.option(
        "-m",
        "--model",
        metavar="NAME",
        shell_complete=completing.models,
        help="such as groq:llama-3.3-70b-versatile; `offline` needs no key",
    ),
    click.option(
        "--base-url",
        metavar="URL",
        help="the address of the model's server; `default` for the provider's own",
    ),
    system,
    click.option("--max-turns", metavar="N", type=whole, help="at most N model requests"),
)
_about_the_request: Final = together(
    click.option(
        "-t",
        "--template",
        metavar="NAME",
        shell_complete=completing.templates,
        help="a prompt with variables; see `tether templates`",
    ),
    click.option(
        "-p",
        "--param",
        metavar="NAME VALUE",
        nargs=2,
        multiple=True,
        help="the value of a variable of the template",
    ),
    click.option(
        "-f",
        "--fragment",
        metavar="NAME|FILE",
        multiple=True,
        shell_complete=completing.fragments,
        help="a text before the request; see `tether fragments`",
    ),
    click.option(
        "--file",
        metavar="FILE",
        multiple=True,
        shell_complete=completing.files,
        help="attach a file; the same as @FILE",
    ),
    click.option(
        "--image",
        metavar="FILE|URL",
        multiple=True,
        shell_complete=completing.files,
        help="attach an image; - for standard input",
    ),
    click.option(
        "--schema",
        metavar="SCHEMA",
        help="print the result as JSON: a JSON Schema, a file with one, or `name, age int, bio: one sentence`",
    ),
    click.option("--schema-multi", is_flag=True, help="a list of what the schema describes"),
    click.option(
        "--output",
        metavar="FILE",
        shell_complete=completing.files,
        help="write the answer to FILE in place of standard output",
    ),
)
_about_the_run: Final = together(
    click.option(
        "--repair",
        is_flag=True,
        help="go on without the damaged lines of a session, and move them to a file beside it",
    ),
    click.option("--json", is_flag=True, help="print every event as one line of JSON"),
    click.option(
        "--mode",
        type=click.Choice([mode.value for mode in Mode]),
        help="what runs without a question: plan (only what reads), ask (the default), edits (also edits of files),"
        " or all; rules that deny hold in each",
    ),
    click.option(
        "--yes",
        is_flag=True,
        help="let tools write files and run commands without asking: the same as --mode all",
    ),
    no_init,
    backend,
    click.option(
        "--metrics",
        metavar="PORT",
        type=port,
        help="serve metrics for Prometheus at this port of 127.0.0.1 while the command runs; 0 for a free one",
    ),
    click.option(
        "--record",
        metavar="FILE",
        help="record the runs in a new FILE, for `tether replay`",
    ),
    click.option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="show the version",
    ),
)


@command(ASK, epilog=_epilog())
@click.argument("words", metavar="[REQUEST]...", nargs=-1)
@_about_the_model
@_about_the_request
@click.option(
    "-c",
    "--continue",
    "goes_on",
    is_flag=True,
    help="continue the last conversation of this folder",
)
@click.option(
    "--session",
    metavar="FILE",
    shell_complete=completing.files,
    help="keep the conversation in FILE, and continue what it holds; by default, conversations are kept in the folder"
    " that `tether config` shows, and single requests are not kept",
)
@click.option("--no-session", is_flag=True, help="do not keep the conversation")
@_about_the_run
def ask(*, goes_on: bool, **options: Any) -> Arguments:
    """Ask a model that can use tools in the current folder."""
    if options["repair"] and not options["session"] and not goes_on:
        raise UsageError("--repair is for `resume` and --session: it needs a session to repair")
    if goes_on and (options["session"] or options["no_session"]):
        raise UsageError("-c already selects a session; leave out --session and --no-session")
    return Arguments(**_checked(options), resume="" if goes_on else None)


@command("resume")
@click.argument("words", metavar="[ID] [REQUEST]...", nargs=-1, shell_complete=completing.sessions)
@_about_the_model
@_about_the_request
@_about_the_run
@click.option("--session", hidden=True)
@click.option("--no-session", is_flag=True, hidden=True)
def resume(words: Sequence[str], **options: Any) -> Arguments:
    """Continue the last conversation of this folder, or the one whose id begins with ID.

    With a request, it is answered, and kept in the conversation.
    """
    if options["session"] or options["no_session"]:
        raise UsageError("`resume` already selects a session; leave out --session and --no-session")
    # No id has a space in it: that word was quoted, and is the request.
    has_id = bool(words) and " " not in words[0] and words[0] != "-"
    return Arguments(
        **_checked({**options, "words": words[1:] if has_id else words}),
        resume=words[0] if has_id else "",
    )


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    rest = dict(options)
    is_all, mode = rest.pop("yes"), rest.pop("mode")
    if is_all and mode:
        raise click.UsageError("--yes is not allowed with --mode; it is --mode all")
    if options["json"] and options["schema"]:
        raise click.UsageError("--json is not allowed with --schema")
    if options["schema_multi"] and not (options["schema"] or options["template"]):
        raise click.UsageError(
            "--schema-multi needs --schema: --schema 'name, age int' --schema-multi"
        )
    prompts = {name: rest[name] for name in ("system", "append_system") if rest[name] is not None}
    return {
        **rest,
        "param": dict(rest["param"]),
        "mode": Mode.ALL if is_all else Mode(mode or "ask"),
        **{name: readable(text) for name, text in prompts.items()},
    }
