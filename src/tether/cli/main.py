"""The command `tether`: from the command line to an exit code."""

import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

import anyio

from tether import Agent, AgentEnd, Limits, Model, ModelError, Session, UsageError, UserMessage
from tether.advice import compact
from tether.cli.arguments import Arguments, parse
from tether.cli.attachments import message_with_files
from tether.cli.conversation import Conversation
from tether.cli.default_model import chosen_address, default_model, held_with
from tether.cli.display import Display, JsonLines, Screen
from tether.cli.door import BOLD, YELLOW, as_door, door, notes, styled, visible
from tether.cli.editor import edited_lines, printing_above
from tether.cli.extensions import App, configuration_folder, load_extensions, untrusted_init
from tether.cli.info_commands import INFO_COMMANDS
from tether.cli.keyboard import forget_typed
from tether.cli.live import Live
from tether.cli.mcp_servers import connected_servers, servers_of, trust_question
from tether.cli.permission import Ask, ask_at_terminal, is_asked_about, permission
from tether.cli.session_files import Unkept, find_session, new_session_path
from tether.cli.signals import INTERRUPTED, EndSignals, interrupted
from tether.cli.slash_commands import slash_commands
from tether.cli.streams import failure_of, has_no_reader, in_utf8, standard_streams, warn
from tether.cli.terminal import is_dumb, plain_lines
from tether.errors import DecodeError
from tether.toolbox import coding_tools

__all__ = ()

ANSWERED: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
LIMIT_REACHED: Final = 3

_INNERMOST: Final = 1000
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
    if words and words[0] == "top" and not any(" " in word for word in words[1:2]):
        return _top(words[1:], ending)
    if words and words[0] == "mcp" and not any(" " in word for word in words[1:2]):
        return _mcp(words[1:], ending)
    with ExitStack() as opened:
        try:
            arguments = parse(words, sys.stdin)
            Path.cwd()  # everything below needs it
            path = _session_path(arguments)
            session = _opened(arguments, path, opened)
            path = path if session is not None else None
            agent = _agent(arguments, session)
            app = App(agent, slash_commands())
            if not arguments.no_init:
                _extend(app, _is_trusted)
            agent.model = _model(arguments, app, os.environ, path)
        except (UsageError, DecodeError, OSError) as error:
            warn(_in_words(error))
            if isinstance(error, DecodeError) and error.path != "line 1":
                warn("--repair goes on with what can be read of a damaged session")
            return WRONG_USAGE
        except SystemExit as error:  # of the command line's parser
            return WRONG_USAGE if error.code else ANSWERED
        return _run(app, arguments, path, ending)


def _show_info(command: str, words: Sequence[str]) -> int:
    try:
        for line in INFO_COMMANDS[command](words):
            print(line)
    except UsageError as error:
        warn(str(error))
        return WRONG_USAGE
    return ANSWERED


def _top(words: Sequence[str], ending: EndSignals) -> int:
    from tether.cli.top_command import parse_top, show_top  # noqa: PLC0415 - other commands start sooner

    try:
        arguments = parse_top(words)
    except UsageError as error:
        warn(str(error))
        return WRONG_USAGE
    except SystemExit as error:  # of the command line's parser
        return WRONG_USAGE if error.code else ANSWERED
    return _in_event_loop(partial(show_top, arguments), ending, arguments.backend)


def _mcp(words: Sequence[str], ending: EndSignals) -> int:
    from tether.cli import mcp_command  # noqa: PLC0415 - other commands start sooner

    try:
        options = mcp_command.parse_mcp(words)
        if options.action in mcp_command.AT_ONCE:
            for line in mcp_command.AT_ONCE[options.action](options):
                print(line)
            return ANSWERED
        if options.action == "serve":
            work = partial(mcp_command.served, _served_agent(options.model), options)
        else:
            work = partial(mcp_command.AWAITED[options.action], options)
        return _in_event_loop(work, ending, options.backend)
    except (UsageError, OSError, ModuleNotFoundError) as error:
        warn(_in_words(error))
        return WRONG_USAGE
    except SystemExit as error:  # of the command line's parser
        return WRONG_USAGE if error.code else ANSWERED


def _served_agent(model: str | None) -> Agent:
    agent = Agent("offline", tools=coding_tools("."), name="tether", transform_context=compact())
    name = model or os.environ.get("TETHER_MODEL") or default_model(os.environ)
    if name is not None:
        agent.model = App(agent).model_named(name)
    return agent


def _run(app: App, arguments: Arguments, path: Path | None, ending: EndSignals) -> int:
    servers: Sequence[Any] = () if arguments.no_init else _servers(app)
    if arguments.request:
        request = message_with_files(arguments.request, warn, typed=arguments.typed)
        work = partial(_answer_with, app, servers, request, _display(arguments))
    else:
        work = partial(_converse, app, servers, arguments, path)
    return _in_event_loop(work, ending, arguments.backend)


def _servers(app: App) -> Sequence[Any]:
    return servers_of(
        app, folder=configuration_folder(), project=Path.cwd(), ask=_may_use, tell=warn
    )


def _may_use(file: Path) -> bool:
    if not _at_terminal():
        warn(f"{file} is not trusted yet and was not used; start tether at a terminal to decide")
        return False
    forget_typed()
    print(styled(trust_question(file), BOLD, YELLOW), end="", file=sys.stderr, flush=True)
    return _is_yes(sys.stdin.readline())


def _in_event_loop(work: Callable[[], Awaitable[int]], ending: EndSignals, backend: str) -> int:
    try:
        return anyio.run(_until_signal, work, ending, backend=backend)
    except ModuleNotFoundError as error:
        if error.name != "trio":
            raise
        warn("trio is not installed: pip install 'tether[trio]'")
        return WRONG_USAGE


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


def _extend(app: App, ask: Callable[[Path], bool]) -> None:
    load_extensions(app, folder=configuration_folder(), project=Path.cwd(), ask=ask, tell=warn)


async def _extend_again(conversation: Conversation) -> None:
    """Load extensions while a conversation goes on: the line of its editor is the one that answers."""
    app = conversation.app
    init = untrusted_init(app, folder=configuration_folder(), project=Path.cwd())
    allowed = init is not None and _is_yes(await conversation.ask(_trust_question(init)))
    _extend(app, lambda _: allowed)


def _is_trusted(init: Path) -> bool:
    if not _at_terminal():
        warn(f"{init} is not trusted yet and was not run; start tether at a terminal to decide")
        return False
    forget_typed()
    print(styled(_trust_question(init), BOLD, YELLOW), end="", file=sys.stderr, flush=True)
    return _is_yes(sys.stdin.readline())


def _trust_question(init: Path) -> str:
    return f"{visible(str(init))} extends tether in this folder. Run it, now and later? [y/N] "


def _is_yes(answer: str) -> bool:
    return answer.strip().lower() in {"y", "yes"}


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _model(arguments: Arguments, app: App, environ: Mapping[str, str], path: Path | None) -> Model:
    held = held_with(app.agent.session)
    app.base_url = chosen_address(arguments.base_url, held.base_url, path)
    name = arguments.model or held.name or environ.get("TETHER_MODEL")
    if name is None and app.agent.model.name != "offline":
        return app.agent.model  # the choice of an extension
    if arguments.model is None and name == app.agent.model.name:
        return app.agent.model
    if name is None:
        name = default_model(environ)
    if name is None:
        warn("no API key (such as OPENAI_API_KEY) is set: using the offline model")
        return app.agent.model
    return app.model_named(name)


def _agent(arguments: Arguments, session: Session | None) -> Agent:
    agent = Agent(
        "offline",
        system=arguments.system,
        tools=coding_tools("."),
        limits=Limits(turns=arguments.max_turns),
        session=session,
        transform_context=compact(),
    )
    if not arguments.yes and arguments.request:
        ask = ask_at_terminal if _at_terminal() else None
        _add_permission(agent, ask)
    return agent


def _add_permission(agent: Agent, ask: Ask | None) -> None:
    # Innermost, so that the person is asked about the call as other hooks have left it.
    agent.hooks.add("around_tool", permission(is_asked_about, ask), depth=_INNERMOST)


def _display(arguments: Arguments) -> Display:
    if arguments.json:
        in_utf8(as_door(sys.stdout).stream)
        return JsonLines(sys.stdout)
    return _screen()


def _screen() -> Screen:
    return Screen(sys.stdout, notes())


async def _converse(
    app: App, servers: Sequence[Any], arguments: Arguments, path: Path | None
) -> int:
    """Hold a conversation."""
    dumb = is_dumb()
    with nullcontext() if dumb else printing_above():
        live = Live(sys.stdout, width=lambda: shutil.get_terminal_size().columns)
        conversation = Conversation(
            app,
            _screen() if dumb else live,
            tell=lambda text: print(text, file=notes(), flush=True),
            session_path=path,
        )
        if not arguments.no_init:
            conversation.reload = partial(_extend_again, conversation)
        if not arguments.yes:
            _add_permission(app.agent, conversation.ask)
        if app.agent.messages:
            conversation.tell(_last_messages(app.agent))
        history = configuration_folder() / "history"
        async with (
            plain_lines(conversation)
            if dumb
            else edited_lines(conversation, live, history) as inputs,
            connected_servers(app, servers, conversation.ask, wait=0),
        ):
            await conversation.hold(inputs)
    return ANSWERED


def _last_messages(agent: Agent) -> str:
    """Remind a person of where they were."""
    last = [m for m in agent.messages if m.role in {"user", "assistant"} and m.text]
    lines = [f"{'> ' if m.role == 'user' else ''}{m.text}" for m in last[-2:]]
    return "\n".join([f"({len(agent.messages)} messages; the last ones:)", *lines])


async def _answer_with(
    app: App, servers: Sequence[Any], request: UserMessage, display: Display
) -> int:
    ask = ask_at_terminal if _at_terminal() else None
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
