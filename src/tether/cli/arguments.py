"""The command line: its options and help, and where the request comes from."""

import argparse
from collections.abc import Sequence
from typing import TextIO

from attrs import frozen

from tether import UsageError
from tether.cli.permission.modes import Mode
from tether.cli.streams import readable

__all__ = ()

_EXAMPLES = """\
examples:
  tether                      start a conversation; /help lists its commands
  tether "read README.md and list src"
  tether --model groq:llama-3.3-70b-versatile "what does this project build?"
  tether --model openai-chat:any --base-url http://127.0.0.1:8000/v1 "hello"
  tether --session work.jsonl "read README.md" && tether --session work.jsonl "go on"
  git diff | tether "review this change:" -
  echo "list tests" | tether
  tether --json "search TODO in src" | jq -r .type

  tether resume [ID]          continue the last conversation of this folder, or the one with this id
  tether resume ID --repair   continue one with damaged lines; they are moved to a file beside it
  tether sessions [FOLDER]    list the conversations of this folder, or the session files in FOLDER
  tether models [PROVIDER]    list the providers and their keys, or the models of one provider
  tether mcp                  the MCP servers whose tools are used; `tether mcp --help`
  tether map PROMPTS          run once for each line of a file, so many at once; `tether map --help`
  tether serve                the same agent in the browser: prints a link; `tether serve --help`
  tether acp                  the same agent in an editor, which starts it; `tether acp --help`
  tether attach URL [ID]      a conversation on such a server, at this terminal
  tether top URL...           show the metrics of servers live; `tether top --help`
  tether config               show where init files and conversations are
  tether schema               print the JSON Schema of the events that --json prints, and of messages
  tether help [GUIDE]         show a guide; without a name, the first one and a list of all

Tools that only read always run. Tools that write files or run commands ask first. Where there is no terminal
to ask at, their calls are denied, unless --yes is given.

environment:
  TETHER_MODEL                the model, where --model is not given
  TETHER_CONFIG_HOME          the folder of init files
  TETHER_DATA_HOME            the folder of conversations
  NO_COLOR                    if set and not empty, no colours
  keys of providers           see `tether models`

exit codes:
    0 answered, also where calls of tools were denied; or the conversation was left
    1 the model failed, or the answer could not be written
    2 wrong usage
    3 a limit was reached, such as that of --max-turns
  130 interrupted with Ctrl-C
  143 ended by SIGTERM; 129 by SIGHUP, such as when the terminal is closed; 131 by SIGQUIT
"""

_LAST_PORT = 65535


@frozen(kw_only=True)
class Arguments:
    """One call of the command."""

    request: str
    typed: str
    """The part of the request that does not come from standard input."""
    """Empty for a conversation."""
    model: str | None
    base_url: str | None
    backend: str
    system: str | None
    max_turns: int | None
    session: str | None
    no_session: bool
    resume: str | None
    """The first characters of an id; empty for the last conversation; None to start a new one."""
    repair: bool
    json: bool
    mode: Mode
    no_init: bool
    metrics: int | None
    """The port at which metrics are served; None for none."""


def parse(argv: Sequence[str], stdin: TextIO) -> Arguments:
    """Read the command line, and the request from standard input if it comes from there.

    Args:
        argv: the words after the command's name.
        stdin: read if the request is empty and it is piped, or if a word is `-`. A terminal is not read: an
            empty request there starts a conversation.

    Returns:
        The arguments.

    Raises:
        UsageError: standard input cannot be read.
        SystemExit: with code 2 for wrong usage, with 0 for `--help` and `--version`.
    """
    parser = _parser()
    resume = None
    if argv and argv[0] == "resume" and not any(" " in word for word in argv):
        resume = argv[1] if len(argv) > 1 and not argv[1].startswith("-") else ""
        argv = argv[2 if resume else 1 :]
    options = parser.parse_args(argv)
    words: list[str] = options.request
    if resume is not None and (options.session or options.no_session):
        parser.error("`resume` already selects a session; leave out --session and --no-session")
    if options.repair and resume is None and not options.session:
        parser.error("--repair is for `resume` and --session: it needs a session to repair")
    if not words:
        words = [] if stdin.isatty() else ["-"]
    request = " ".join(_read(stdin) if word == "-" else readable(word) for word in words).strip()
    if words and not request:
        parser.error("the request is empty")
    return Arguments(
        request=request,
        typed=readable(" ".join(word for word in words if word != "-")),
        model=options.model,
        base_url=options.base_url,
        backend=options.backend,
        system=None if options.system is None else readable(options.system),
        max_turns=options.max_turns,
        session=options.session,
        no_session=options.no_session,
        resume=resume,
        repair=options.repair,
        json=options.json,
        mode=Mode(options.mode),
        no_init=options.no_init,
        metrics=options.metrics,
    )


def _read(stdin: TextIO) -> str:
    try:
        return stdin.read()
    except OSError as error:
        raise UsageError(f"standard input: {error.strerror or error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tether",
        description="Ask a model that can use tools in the current folder.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("request", nargs="*", help="what you want; `-` is replaced by standard input")
    add(
        "--model",
        metavar="NAME",
        help="such as groq:llama-3.3-70b-versatile; `offline` needs no key",
    )
    add(
        "--base-url",
        metavar="URL",
        help="the address of the model's server; `default` for the provider's own",
    )
    add("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop")
    add("--system", metavar="TEXT", help="the system prompt")
    add("--max-turns", metavar="N", type=positive, help="at most N model requests")
    add(
        "--session",
        metavar="FILE",
        help="keep the conversation in FILE, and continue what it holds; by default, conversations are kept in the"
        " folder that `tether config` shows, and single requests are not kept",
    )
    add("--no-session", action="store_true", help="do not keep the conversation")
    add(
        "--repair",
        action="store_true",
        help="go on without the damaged lines of a session, and move them to a file beside it",
    )
    add("--json", action="store_true", help="print every event as one line of JSON")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        default="ask",
        help="what runs without a question: plan (only what reads), ask, edits (also edits of files), or all; "
        "rules that deny hold in each",
    )
    modes.add_argument(
        "--yes",
        action="store_const",
        const="all",
        dest="mode",
        help="let tools write files and run commands without asking: the same as --mode all",
    )
    add("--no-init", action="store_true", help="load no init file and no extensions")
    add(
        "--metrics",
        metavar="PORT",
        type=_port,
        help="serve metrics for Prometheus at this port of 127.0.0.1 while the command runs; 0 for a free one",
    )
    add("--version", action=_Version, nargs=0, help="show the version")
    return parser


class _Version(argparse.Action):
    """Look the version up when it is asked for: that reads files."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - as the docstring says

        print(f"tether {version('tether')}")
        parser.exit()


def positive(text: str) -> int:
    """Read a whole number of 1 or more, for an option.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


def add_agent_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how the agents of many conversations are made."""
    add = parser.add_argument
    add("--model", metavar="NAME", help="as for `tether`")
    add("--base-url", metavar="URL", help="as for `tether`")
    add("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop")
    add("--system", metavar="TEXT", help="the system prompt")
    add("--max-turns", metavar="N", type=positive, help="at most N model requests for each message")


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a whole number of 0 to 65535")
    return number
