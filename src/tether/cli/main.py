"""The command `tether`: from the command line to an exit code."""

import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final, TextIO

import anyio

from tether import UsageError
from tether.cli.door import door
from tether.cli.exit_codes import ANSWERED, FAILED, WRONG_USAGE
from tether.cli.extras import what_to_install
from tether.cli.signals import INTERRUPTED, EndSignals
from tether.cli.streams import failure_of, has_no_reader, standard_streams, warn
from tether.cli.wording import explained
from tether.errors import DecodeError

__all__ = ()


_ASKING: Final = frozenset({"ask", "resume", "map", "serve", "acp", "mcp"})
"""The subcommands that may ask a model: they have the keys that a person keeps."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Signals that end a process cancel what runs: SIGTERM, SIGHUP, SIGQUIT and Ctrl-C. Afterwards their handlers and the
    standard streams are what they were.

    Args:
        argv: the words after the command's name; those of this process if None.

    Returns:
        The exit code: 0 answered, 1 the model or the output failed, 2 wrong usage, 3 a limit was reached, 128 and the
        number of the signal that ended it, such as 130 for Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else argv
    ending = EndSignals()
    with standard_streams() as output, door(), ending.taken():
        code = _to_its_end(partial(_command, words, ending), output)
    return code if ending.exit_code is None else ending.exit_code


def _to_its_end(work: Callable[[], int], output: TextIO) -> int:
    """Do the work; what cuts it short becomes an exit code, and at most a line on standard error."""
    code, error = FAILED, None
    try:
        code = work()
    except* KeyboardInterrupt:
        code = INTERRUPTED
    except* OSError as errors:
        error = _first(errors)
    except* UsageError as errors:
        error, code = _first(errors), WRONG_USAGE
    except* ModuleNotFoundError as errors:
        if (advice := what_to_install(_first(errors))) is None:
            raise
        warn(advice)
        code = WRONG_USAGE
    if (failure := failure_of(output)) is not None:
        return _without_output(failure, code)
    if error is not None:
        warn(_in_words(error))
    return code


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _without_output(failure: OSError, code: int) -> int:
    if has_no_reader(failure):
        return ANSWERED if code == FAILED else code
    warn(f"standard output: {failure.strerror or failure}")
    return code or FAILED


def _in_words(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError) and not _has_working_folder():
        return "the working folder no longer exists; change to another one"
    return explained(error)


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _command(words: Sequence[str], ending: EndSignals) -> int:
    with ExitStack() as opened:
        try:
            work, backend = _work(words, opened)
        except (UsageError, DecodeError, OSError) as error:
            warn(_in_words(error))
            if isinstance(error, DecodeError) and error.path != "line 1":
                warn("--repair goes on with what can be read of a damaged session")
            return WRONG_USAGE
        except SystemExit as error:  # of the command line's parser
            return WRONG_USAGE if error.code else ANSWERED
        return ANSWERED if work is None else _in_event_loop(work, ending, backend)


def _work(
    words: Sequence[str], opened: ExitStack
) -> tuple[Callable[[], Awaitable[int]] | None, str]:
    """Read the command line, and do what needs no event loop.

    Args:
        words: the words after the command's name.
        opened: gets what is closed when the work is done.

    Returns:
        The work for the event loop, if there is any; and its backend.
    """
    # Only here: what it needs may not be installed, which is said.
    from tether.cli.command_line import SUBCOMMANDS, chosen, read  # noqa: PLC0415

    if "_TETHER_COMPLETE" in os.environ:
        _print(import_module("tether.cli.completion_command").answers())
        return None, ""
    name, rest = chosen(words)
    if name in _ASKING:
        opened.enter_context(import_module("tether.cli.keys").keys_in(os.environ))
    module = SUBCOMMANDS[name].place.partition(":")[0]
    made = read(SUBCOMMANDS[name].command, rest)
    if isinstance(made, Iterator):
        _print(made)
        return None, ""
    if module == "arguments":
        Path.cwd()  # everything below needs it
        work = import_module("tether.cli.ask_command").work(made, opened)
    else:
        work = partial(import_module(f"tether.cli.{module}").run, made)
    return work, made.backend


def _print(lines: Iterable[str]) -> None:
    """Print lines until the output takes no more, which is said when the command ends."""
    for line in lines:
        try:
            print(line)
        except OSError:
            return


def _in_event_loop(work: Callable[[], Awaitable[int]], ending: EndSignals, backend: str) -> int:
    import_module(backend)  # anyio would name its own package as what to install
    return anyio.run(_until_signal, work, ending, backend=backend)


async def _until_signal(work: Callable[[], Awaitable[int]], ending: EndSignals) -> int:
    with anyio.CancelScope() as scope, ending.cancelling(scope):
        return await work()
    return INTERRUPTED
