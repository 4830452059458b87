"""The command `tether`: from the command line to an exit code."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Final

import anyio

from tether import Agent, Limits, Model, ModelError, Session, UsageError, UserMessage
from tether.advice import compact
from tether.cli.arguments import Arguments, parse, warn
from tether.cli.attachments import message_with_files
from tether.cli.conversation import Conversation
from tether.cli.default_model import default_model
from tether.cli.display import Display, JsonLines, Screen
from tether.cli.door import BOLD, YELLOW, door, notes, styled, visible
from tether.cli.editor import edited_lines, printing_above
from tether.cli.extensions import App, configuration_folder, load_extensions
from tether.cli.info_commands import INFO_COMMANDS
from tether.cli.keyboard import forget_typed
from tether.cli.live import Live
from tether.cli.permission import Ask, ask_at_terminal, permission
from tether.cli.session_files import Unkept, find_session, new_session_path
from tether.cli.slash_commands import slash_commands
from tether.cli.terminal import is_dumb, plain_lines
from tether.errors import DecodeError
from tether.toolbox import changing_tools, coding_tools

__all__ = ()

ANSWERED: Final = 0
MODEL_FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130

_INNERMOST: Final = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the words after the command's name; those of this process if None.

    Returns:
        The exit code: 0 answered, 1 the model failed, 2 wrong usage, 130 interrupted.
    """
    with door():
        return _command(sys.argv[1:] if argv is None else argv)


def _command(words: Sequence[str]) -> int:
    # A word with a space in it was quoted: then it is a request, such as "models are in src".
    if words and words[0] in INFO_COMMANDS and not any(" " in word for word in words):
        return _show_info(words[0], words[1:])
    arguments = parse(words, sys.stdin)
    with ExitStack() as opened:
        try:
            path = _session_path(arguments)
            session = _opened(arguments, path, opened)
            path = path if session is not None else None
            agent = _agent(arguments, session)
            app = App(agent, slash_commands())
            if not arguments.no_init:
                _extend(app)
            agent.model = _model(arguments, app, os.environ)
        except (UsageError, DecodeError, OSError) as error:
            warn(str(error))
            if isinstance(error, DecodeError) and error.path != "line 1":
                warn("--repair goes on with what can be read of a damaged session")
            return WRONG_USAGE
        return _run(app, arguments, path)


def _show_info(command: str, words: Sequence[str]) -> int:
    try:
        with _broken_pipe_ignored():
            for line in INFO_COMMANDS[command](words):
                print(line)
    except UsageError as error:
        warn(str(error))
        return WRONG_USAGE
    return ANSWERED


@contextmanager
def _broken_pipe_ignored() -> Iterator[None]:
    """Stop writing when the program that reads our output has ended, such as `head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(app: App, arguments: Arguments, path: Path | None) -> int:
    try:
        if not arguments.request:
            return anyio.run(_converse, app, arguments, path, backend=arguments.backend)
        display: Display = JsonLines(sys.stdout) if arguments.json else _screen()
        request = message_with_files(arguments.request, warn, typed=arguments.typed)
        return anyio.run(_answer, app.agent, request, display, backend=arguments.backend)
    except ModuleNotFoundError as error:
        if error.name != "trio":
            raise
        warn("trio is not installed: pip install 'tether[trio]'")
        return WRONG_USAGE
    except KeyboardInterrupt:
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
    with Session.open(
        path, damaged="skip" if repair else "refuse", on_failure=Unkept(path, warn)
    ) as session:
        if session.torn:
            warn(f"the last entry of {path} was half written and has been moved to {path}.torn")
        if lines := session.damaged_lines:
            warn(f"{lines} damaged lines of {path} have been moved to {path}.damaged")
        yield session
        empty = not any(entry.kind == "message" for entry in session.entries.values())
    if new and empty:
        path.unlink(missing_ok=True)


def _extend(app: App) -> None:
    load_extensions(
        app, folder=configuration_folder(), project=Path.cwd(), ask=_is_trusted, tell=warn
    )


def _is_trusted(init: Path) -> bool:
    if not _at_terminal():
        warn(f"{init} is not trusted yet and was not run; start tether at a terminal to decide")
        return False
    question = f"{visible(str(init))} extends tether in this folder. Run it, now and later? [y/N] "
    forget_typed()
    print(styled(question, BOLD, YELLOW), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _model(arguments: Arguments, app: App, environ: Mapping[str, str]) -> Model:
    name = arguments.model or environ.get("TETHER_MODEL")
    if name is None and app.agent.model.name != "offline":
        return app.agent.model  # the choice of an extension
    if name is None:
        name = default_model(environ)
    if name is None:
        warn(
            "no API key is set, such as OPENAI_API_KEY: using the offline model, which follows fixed rules"
        )
        return app.agent.model
    return app.model_named(name, base_url=arguments.base_url)


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
    names = {tool.name for tool in changing_tools(".")}
    # Innermost, so that the person is asked about the call as other hooks have left it.
    agent.hooks.add("around_tool", permission(names, ask), depth=_INNERMOST)


def _screen() -> Screen:
    return Screen(sys.stdout, notes())


async def _converse(app: App, arguments: Arguments, path: Path | None) -> int:
    """Hold a conversation."""
    dumb = is_dumb()
    with nullcontext() if dumb else printing_above():
        live = Live(sys.stdout, width=lambda: shutil.get_terminal_size().columns)
        conversation = Conversation(
            app,
            _screen() if dumb else live,
            tell=lambda text: print(text, file=notes(), flush=True),
            reload=lambda: None if arguments.no_init else _extend(app),
            session_path=path,
        )
        if not arguments.yes:
            _add_permission(app.agent, conversation.ask)
        if app.agent.messages:
            conversation.tell(_last_messages(app.agent))
        history = configuration_folder() / "history"
        async with (
            plain_lines(conversation)
            if dumb
            else edited_lines(conversation, live, history) as inputs
        ):
            await conversation.hold(inputs)
    return ANSWERED


def _last_messages(agent: Agent) -> str:
    """Remind a person of where they were."""
    last = [m for m in agent.messages if m.role in {"user", "assistant"} and m.text]
    lines = [f"{'> ' if m.role == 'user' else ''}{m.text}" for m in last[-2:]]
    return "\n".join([f"({len(agent.messages)} messages; the last ones:)", *lines])


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
    with anyio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()
            return


async def _follow(agent: Agent, request: UserMessage, display: Display) -> int:
    try:
        with _broken_pipe_ignored():
            async with agent.run(request) as run:
                async for event in run:
                    display.show(event)
    except ModelError as error:
        sys.stdout.flush()
        warn(str(error))
        return MODEL_FAILED
    return ANSWERED
