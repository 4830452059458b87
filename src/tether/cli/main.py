"""The command `tether`: from the command line to an exit code."""

import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TextIO

import anyio

from tether import Agent, AgentEnd, ModelError, Session, UsageError, UserMessage
from tether.cli.arguments import Arguments, parse
from tether.cli.assembly import (
    add_permission,
    add_recording,
    chosen_model,
    extend,
    is_trusted,
    new_app,
    policy_of,
    trust_question,
)
from tether.cli.attachments import message_with_files
from tether.cli.changes.snapshots import Snapshots
from tether.cli.conversation import Conversation
from tether.cli.display import Display, JsonLines, Screen
from tether.cli.door import as_door, door, notes
from tether.cli.editor import edited_lines, printing_above
from tether.cli.extensions import App, configuration_folder, untrusted_files
from tether.cli.extras import what_to_install
from tether.cli.info_commands import INFO_COMMANDS
from tether.cli.live import Live
from tether.cli.mcp_servers import chosen_servers, connected_servers
from tether.cli.measuring import Work, measured
from tether.cli.permission.asking import ask_at_terminal
from tether.cli.permission.policy import Policy
from tether.cli.question import at_terminal, is_yes
from tether.cli.resuming import open_calls, taken_up
from tether.cli.session_files import Unkept, find_session, how_to_resume, new_session_path
from tether.cli.signals import INTERRUPTED, EndSignals, interrupted
from tether.cli.streams import failure_of, has_no_reader, in_utf8, standard_streams, warn
from tether.cli.terminal import is_dumb, plain_lines
from tether.errors import DecodeError

__all__ = ()

ANSWERED: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
LIMIT_REACHED: Final = 3

_SERVERS_HAVE: Final = 15.0
"""Seconds that a request waits for MCP servers to answer."""


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
    return str(error)


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _command(words: Sequence[str], ending: EndSignals) -> int:
    # A word with a space in it was quoted: then it is a request, such as "models are in src".
    if words and words[0] in INFO_COMMANDS and not any(" " in word for word in words):
        return _show_info(words[0], words[1:])
    if words and words[0] in _COMMANDS and not any(" " in word for word in words[1:2]):
        return _run_command(words[0], words[1:], ending)
    with ExitStack() as opened:
        try:
            arguments = parse(words, sys.stdin)
            Path.cwd()  # everything below needs it
            path = _session_path(arguments)
            session = _opened(arguments, path, opened)
            path = path if session is not None else None
            policy = policy_of(arguments.mode, Path.cwd())
            app = _app(arguments, session, policy)
            agent = app.agent
            changes = add_recording(agent, path)
            if not arguments.no_init:
                extend(app, is_trusted)
            agent.model = chosen_model(
                app, model=arguments.model, base_url=arguments.base_url, path=path
            )
            also_measured = opened.enter_context(measured(agent, arguments.metrics))
        except (UsageError, DecodeError, OSError) as error:
            warn(_in_words(error))
            if isinstance(error, DecodeError) and error.path != "line 1":
                warn("--repair goes on with what can be read of a damaged session")
            return WRONG_USAGE
        except SystemExit as error:  # of the command line's parser
            return WRONG_USAGE if error.code else ANSWERED
        return _run(app, arguments, path, policy, changes, ending, also_measured)


def _show_info(command: str, words: Sequence[str]) -> int:
    try:
        for line in INFO_COMMANDS[command](words):
            print(line)
    except UsageError as error:
        warn(str(error))
        return WRONG_USAGE
    return ANSWERED


_COMMANDS: Final = frozenset({"acp", "attach", "map", "mcp", "serve", "top"})
"""Each has a module, loaded for it alone: its `parse` reads the words, and its `run` does what they say."""


def _run_command(name: str, words: Sequence[str], ending: EndSignals) -> int:
    try:
        module = import_module(f"tether.cli.{name}_command")
        arguments = module.parse(words)
    except (UsageError, OSError) as error:
        warn(_in_words(error))
        return WRONG_USAGE
    except SystemExit as error:  # of the command line's parser
        return WRONG_USAGE if error.code else ANSWERED
    return _in_event_loop(partial(module.run, arguments), ending, arguments.backend)


def _run(
    app: App,
    arguments: Arguments,
    path: Path | None,
    policy: Policy,
    changes: Snapshots,
    ending: EndSignals,
    also_measured: Callable[[Work], Work],
) -> int:
    servers: Sequence[Any] = () if arguments.no_init else chosen_servers(app)
    if arguments.request:
        if (left := open_calls(app.agent)) is not None:
            print(taken_up(app.agent, left, runs=False), file=notes(), flush=True)
        request = message_with_files(arguments.request, warn, typed=arguments.typed)
        work = partial(_answer_with, app, servers, request, _display(arguments))
    else:
        work = partial(_converse, app, servers, arguments, path, policy, changes)
    return _in_event_loop(also_measured(work), ending, arguments.backend)


def _in_event_loop(work: Callable[[], Awaitable[int]], ending: EndSignals, backend: str) -> int:
    import_module(backend)  # anyio would name its own package as what to install
    return anyio.run(_until_signal, work, ending, backend=backend)


async def _until_signal(work: Callable[[], Awaitable[int]], ending: EndSignals) -> int:
    with anyio.CancelScope() as scope, ending.cancelling(scope):
        return await work()
    return INTERRUPTED


def _session_path(arguments: Arguments) -> Path | None:
    """Choose the session's file; None where the conversation is not kept."""
    if arguments.session is not None:
        return Path(arguments.session)
    if arguments.resume is not None:
        return find_session(Path.cwd(), arguments.resume or None)
    if arguments.no_session or arguments.request:
        return None
    try:
        return new_session_path(Path.cwd())
    except OSError as error:
        warn(f"{error}; the conversation is not kept")
        return None


def _opened(arguments: Arguments, path: Path | None, opened: ExitStack) -> Session | None:
    """Open the session, which a person may have named; a new one that cannot be made is done without."""
    if path is None:
        return None
    try:
        return opened.enter_context(_session(path, repair=arguments.repair))
    except OSError as error:
        if arguments.session is not None or arguments.resume is not None:
            raise
        warn(f"{error}; the conversation is not kept")
        return None


@contextmanager
def _session(path: Path, *, repair: bool) -> Iterator[Session]:
    """Open a session; a new one without a message leaves no file behind."""
    new = not path.exists()
    session = None
    try:
        with Session.open(
            path, damaged="skip" if repair else "refuse", on_failure=Unkept(path, warn)
        ) as session:
            if session.torn:
                warn(f"the last entry of {path} was half written and has been moved to {path}.torn")
            if lines := session.damaged_lines:
                warn(f"{lines} damaged lines of {path} have been moved to {path}.damaged")
            yield session
    finally:
        if new and session is not None and not _has_messages(session):
            path.unlink(missing_ok=True)


def _has_messages(session: Session) -> bool:
    return any(entry.kind == "message" for entry in session.entries.values())


async def _extend_again(conversation: Conversation) -> None:
    """Load extensions while a conversation goes on: the line of its editor is the one that answers."""
    app = conversation.app
    asked = untrusted_files(app, folder=configuration_folder(), project=Path.cwd())
    allowed = bool(asked) and is_yes(await conversation.ask(trust_question(asked)))
    extend(app, lambda _: allowed)


def _app(arguments: Arguments, session: Session | None, policy: Policy) -> App:
    app = new_app(system=arguments.system, max_turns=arguments.max_turns, session=session)
    if arguments.request:
        ask = ask_at_terminal if at_terminal() else None
        app.ask = ask
        add_permission(app.agent, ask, policy)
    return app


def _display(arguments: Arguments) -> Display:
    if arguments.json:
        in_utf8(as_door(sys.stdout).stream)
        return JsonLines(sys.stdout)
    return _screen()


def _screen() -> Screen:
    return Screen(sys.stdout, notes())


async def _converse(
    app: App,
    servers: Sequence[Any],
    arguments: Arguments,
    path: Path | None,
    policy: Policy,
    changes: Snapshots,
) -> int:
    """Hold a conversation."""
    dumb = is_dumb()
    with nullcontext() if dumb else printing_above():
        live = Live(sys.stdout, width=lambda: shutil.get_terminal_size().columns)
        conversation = Conversation(
            app,
            _screen() if dumb else live,
            tell=_tell if dumb else live.tell,
            session_path=path,
            mode=policy.modes,
            rules=policy.rules,
            changes=changes,
        )
        if not arguments.no_init:
            conversation.reload = partial(_extend_again, conversation)
        app.ask = conversation.ask
        add_permission(app.agent, conversation.ask, policy)
        if app.agent.messages:
            conversation.tell(_last_messages(app.agent))
        left = None if arguments.resume is None else open_calls(app.agent)
        if left is not None:
            conversation.tell(taken_up(app.agent, left, runs=True))
            conversation.goes_on = True
        history = configuration_folder() / "history"
        async with (
            plain_lines(conversation)
            if dumb
            else edited_lines(conversation, live, history) as inputs,
            # A call that was left open may be of a server's tool.
            connected_servers(
                app, servers, conversation.ask, wait=0 if left is None else _SERVERS_HAVE
            ),
        ):
            await conversation.hold(inputs)
    if path is not None and app.agent.messages:
        _tell(how_to_resume(path))
    return ANSWERED


def _tell(text: str) -> None:
    print(text, file=notes(), flush=True)


def _last_messages(agent: Agent) -> str:
    """Remind a person of where they were."""
    last = [m for m in agent.messages if m.role in {"user", "assistant"} and m.text]
    lines = [f"{'> ' if m.role == 'user' else ''}{m.text}" for m in last[-2:]]
    return "\n".join([f"({len(agent.messages)} messages; the last ones:)", *lines])


async def _answer_with(
    app: App, servers: Sequence[Any], request: UserMessage, display: Display
) -> int:
    ask = ask_at_terminal if at_terminal() else None
    async with connected_servers(app, servers, ask, wait=_SERVERS_HAVE):
        return await _answer(app.agent, request, display)


async def _answer(agent: Agent, request: UserMessage, display: Display) -> int:
    """Run the agent in a scope that the first Ctrl-C cancels; a second one interrupts the process."""
    code = ANSWERED
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_on_interrupt, tasks.cancel_scope)
        code = INTERRUPTED
        code = await _follow(agent, request, display)
        tasks.cancel_scope.cancel()
    return code


async def _cancel_on_interrupt(scope: anyio.CancelScope) -> None:
    await interrupted()
    scope.cancel()


async def _follow(agent: Agent, request: UserMessage, display: Display) -> int:
    code = ANSWERED
    try:
        async with agent.run(request) as run:
            async for event in run:
                display.show(event)
                if isinstance(event, AgentEnd) and event.stop_reason == "limit":
                    code = LIMIT_REACHED
    except ModelError as error:
        sys.stdout.flush()
        warn(str(error))
        return FAILED
    return code
