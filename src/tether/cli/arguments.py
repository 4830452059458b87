"""What the command line says: options, help, and where the request comes from."""

import argparse
import sys
from collections.abc import Sequence
from typing import TextIO

from attrs import frozen

__all__ = ("Arguments", "parse")

_EXAMPLES = """\
examples:
  tether                      talk; /help tells of the commands there
  tether "read README.md and list src"
  tether --model groq:llama-3.3-70b-versatile "what does this project build?"
  tether --model openai-chat:any --base-url http://127.0.0.1:8000/v1 "hello"
  tether --session work.jsonl "read README.md" && tether --session work.jsonl "go on"
  git diff | tether "review this change:" -
  echo "list tests" | tether
  tether --json "search TODO in src" | jq -r .type

  tether resume [ID]          go on with the last conversation in this folder, or with another
  tether sessions [FOLDER]    list the conversations that were held in this folder, or are kept in another
  tether models [VENDOR]      list vendors and their keys, or a vendor's models
  tether config               tell where init files are looked for

Tools that read are always at hand. Tools that write files or run commands ask first; where there is no
terminal to ask at, they are refused unless --yes is given.

environment: TETHER_MODEL is used where no --model is given, TETHER_CONFIG_HOME and TETHER_DATA_HOME are
where init files and conversations are, NO_COLOR leaves colours out; keys of vendors: see `tether models`

exit codes: 0 answered, 1 the model failed, 2 wrong usage, 130 interrupted with Ctrl-C
"""


@frozen(kw_only=True)
class Arguments:
    """One call of the command."""

    request: str
    """Empty, where a person is there to talk to."""
    model: str | None
    base_url: str | None
    backend: str
    system: str | None
    max_turns: int | None
    session: str | None
    no_session: bool
    resume: str | None
    """The beginning of an id; empty for the last conversation; None where none is gone on with."""
    json: bool
    yes: bool
    no_init: bool


def parse(argv: Sequence[str], stdin: TextIO) -> Arguments:
    """Read the command line, and the request from standard input where it is to come from there.

    Args:
        argv: the words behind the command's name.
        stdin: read when there are no words of a request and it is piped, or where a word is `-`.
            A terminal is not read: no words there begin a conversation.

    Returns:
        What was said.

    Raises:
        SystemExit: with code 2 for wrong usage, with 0 for `--help` and `--version`.
    """
    parser = _parser()
    resume = None
    if argv and argv[0] == "resume" and not any(" " in word for word in argv):
        resume = argv[1] if len(argv) > 1 and not argv[1].startswith("-") else ""
        argv = argv[2 if resume else 1 :]
    said = parser.parse_args(argv)
    words: list[str] = said.request
    if resume is not None and (said.session or said.no_session):
        parser.error("`resume` says which session it is; leave out --session and --no-session")
    if not words:
        words = [] if stdin.isatty() else ["-"]
    request = " ".join(stdin.read() if word == "-" else word for word in words).strip()
    if words and not request:
        parser.error("the request is empty")
    return Arguments(
        request=request,
        model=said.model,
        base_url=said.base_url,
        backend=said.backend,
        system=said.system,
        max_turns=said.max_turns,
        session=said.session,
        no_session=said.no_session,
        resume=resume,
        json=said.json,
        yes=said.yes,
        no_init=said.no_init,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tether",
        description="Ask a model, and let it use tools in the current folder.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("request", nargs="*", help="what you want; a `-` stands for standard input")
    add(
        "--model",
        metavar="NAME",
        help="such as groq:llama-3.3-70b-versatile; `offline` needs no key",
    )
    add("--base-url", metavar="URL", help="the server that has the model")
    add("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop")
    add("--system", metavar="TEXT", help="the system prompt")
    add("--max-turns", metavar="N", type=_positive, help="ask the model at most so often")
    add(
        "--session",
        metavar="FILE",
        help="keep the conversation there, and go on with what it holds; where nobody says, conversations are kept"
        " where `tether config` tells, and single requests are not",
    )
    add("--no-session", action="store_true", help="keep nothing")
    add("--json", action="store_true", help="print every event as one line of JSON")
    add("--yes", action="store_true", help="let tools write files and run commands unasked")
    add("--no-init", action="store_true", help="load no init file and no extensions")
    add("--version", action=_Version, nargs=0, help="say which version this is")
    return parser


class _Version(argparse.Action):
    """Look the version up when it is asked for: that reads files."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - as the docstring says

        print(f"tether {version('tether')}")
        parser.exit()


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return number


def warn(message: str) -> None:
    """Say something that is not part of the answer."""
    print(f"tether: {message}", file=sys.stderr)
