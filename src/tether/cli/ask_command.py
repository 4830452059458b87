"""A request, or a conversation: the agent, its session, and what is done in the event loop."""

import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from tether import Session, UsageError, UserMessage
from tether.cli.arguments import Arguments, with_input
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
from tether.cli.changes.snapshots import Snapshots
from tether.cli.context.commands import request_of
from tether.cli.conversation import Conversation
from tether.cli.display import Display, JsonLines, Screen
from tether.cli.door import Door, as_door, notes
from tether.cli.editor import edited_lines, printing_above
from tether.cli.exit_codes import ANSWERED
from tether.cli.extensions import App, configuration_folder, untrusted_files
from tether.cli.first_run import greeting, is_first_run
from tether.cli.live import Live
from tether.cli.mcp_servers import chosen_servers, connected_servers
from tether.cli.measuring import measured
from tether.cli.one_shot import SERVERS_HAVE, Asked, answer
from tether.cli.permission.asking import ask_at_terminal
from tether.cli.permission.policy import Policy
from tether.cli.question import at_terminal, is_yes
from tether.cli.request import message_of, with_template
from tether.cli.result_schema import schema_from
from tether.cli.resuming import last_messages, open_calls, taken_up
from tether.cli.screen.choices import choice_of_conversation
from tether.cli.screen.picking import choose_at_terminal
from tether.cli.screen.reply import DrawnReply
from tether.cli.screen.theme import first_theme
from tether.cli.session_files import (
    Unkept,
    find_session,
    how_to_resume,
    kept_sessions,
    new_session_path,
)
from tether.cli.streams import in_utf8, warn
from tether.cli.terminal import is_dumb, plain_lines

__all__ = ()


def work(arguments: Arguments, opened: ExitStack) -> Callable[[], Awaitable[int]]:
    """Make the agent, and say what is to be done with it.

    Args:
        arguments: the command line's.
        opened: gets the session, and what measures the agent.

    Returns:
        What answers the request or holds the conversation, in an event loop; it returns the exit code.

    Raises:
        UsageError: something cannot be.
        DecodeError: the session is damaged, or is none.
        OSError: a file cannot be read or made.
    """
    arguments = with_template(with_input(arguments, sys.stdin))
    if not arguments.request and (of := _of_request_alone(arguments)):
        raise UsageError(f"{of} needs a request")
    path = _session_path(arguments)
    session = _opened(arguments, path, opened)
    path = path if session is not None else None
    policy = policy_of(arguments.mode, Path.cwd())
    app = _app(arguments, session, policy)
    changes = add_recording(app.agent, path)
    if not arguments.no_init:
        extend(app, is_trusted)
    is_alone = bool(arguments.request) or arguments.goes_on
    is_greeted = not is_alone and is_first_run() and not app.agent.messages
    app.agent.model = chosen_model(
        app,
        model=arguments.model,
        base_url=arguments.base_url,
        path=path,
        is_greeted=is_greeted,
    )
    greets = greeting(app.agent.model.name, os.environ) if is_greeted else ""
    if arguments.record is not None:
        from tether.cli.recordings import recorded  # noqa: PLC0415 - only where it is asked for

        opened.enter_context(recorded(app.agent, arguments.record))
    also_measured = opened.enter_context(measured(app.agent, arguments.metrics))
    servers: Sequence[Any] = () if arguments.no_init else chosen_servers(app)
    if not is_alone:
        return also_measured(
            partial(_converse, app, servers, arguments, path, policy, changes, greets)
        )
    left = open_calls(app.agent)
    if left is not None:
        print(taken_up(app.agent, left, runs=arguments.goes_on), file=notes(), flush=True)
    elif arguments.goes_on:
        raise UsageError(
            'no call was cut off: say what to do next, such as `tether resume ID "go on"`'
        )
    asked = Asked(
        None if arguments.goes_on else _message(app, arguments),
        None
        if arguments.schema is None
        else schema_from(arguments.schema, several=arguments.schema_multi),
        _answers(arguments, opened),
    )
    return also_measured(partial(answer, app, servers, asked, _display(arguments, asked.out)))


def _message(app: App, arguments: Arguments) -> UserMessage:
    """Make the message; by a command or skill of a file, where the request begins with one and is all there is."""
    if not (arguments.fragment or arguments.file or arguments.image):
        begun = request_of(app, arguments.request)
        if begun is not None:
            return begun
    return message_of(arguments, warn)


def _of_request_alone(arguments: Arguments) -> str | None:
    options = {
        "--json": arguments.json,
        "--output": arguments.output,
        "--schema": arguments.schema,
        "--file": arguments.file,
        "--image": arguments.image,
        "--fragment": arguments.fragment,
    }
    return next((option for option, given in options.items() if given and option != "--json"), None)


def _answers(arguments: Arguments, opened: ExitStack) -> Door:
    """Open what the answer goes to."""
    if arguments.output is None:
        return as_door(sys.stdout)
    try:
        file = opened.enter_context(
            Path(arguments.output).open("w", encoding="utf-8")  # noqa: SIM115 - the stack is one
        )
    except OSError as error:
        raise UsageError(f"--output {arguments.output}: {error.strerror or error}") from error
    return as_door(file)


def _session_path(arguments: Arguments) -> Path | None:
    """Choose the session's file; None where the conversation is not kept."""
    if arguments.session is not None:
        return Path(arguments.session)
    if arguments.resume == "" and not (arguments.request or arguments.goes_on or is_dumb()):
        return _chosen_session()
    if arguments.resume is not None:
        return find_session(Path.cwd(), arguments.resume or None)
    if arguments.no_session or arguments.request:
        return None
    try:
        return new_session_path(Path.cwd())
    except OSError as error:
        warn(f"{error}; the conversation is not kept")
        return None


def _chosen_session() -> Path:
    """Have a person choose among the conversations of this folder, where there are several."""
    found = kept_sessions(Path.cwd())
    if len(found) < 2:
        return find_session(Path.cwd(), None)
    chosen = choose_at_terminal(choice_of_conversation(found))
    if not chosen:
        raise SystemExit(ANSWERED)
    return Path(chosen)


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
    app = new_app(
        system=arguments.system,
        append_system=arguments.append_system,
        max_turns=arguments.max_turns,
        session=session,
    )
    if arguments.request:
        ask = ask_at_terminal if at_terminal() else None
        app.ask = ask
        add_permission(app.agent, ask, policy)
    return app


def _display(arguments: Arguments, out: Door) -> Display:
    if arguments.json:
        in_utf8(out.stream)
        return JsonLines(out)
    if arguments.schema is not None:  # the result alone goes to standard output
        return Screen(sys.stderr if arguments.output is None else notes())
    return Screen(out, notes(), _drawn_reply(out))


def _drawn_reply(out: Door) -> DrawnReply | None:
    """Draw the reply where a person sees it; what is piped or kept in a file is as the model wrote it."""
    if not out.isatty() or os.environ.get("TERM") == "dumb":
        return None
    return DrawnReply(out, shutil.get_terminal_size, first_theme(os.environ))


def _screen() -> Screen:
    return Screen(sys.stdout, notes())


async def _converse(
    app: App,
    servers: Sequence[Any],
    arguments: Arguments,
    path: Path | None,
    policy: Policy,
    changes: Snapshots,
    greets: str,
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
        live.is_waiting = policy.waiting.__contains__
        app.ask = conversation.ask
        add_permission(app.agent, conversation.ask, policy)
        if greets:
            conversation.tell(greets)
        if app.agent.messages:
            conversation.tell(last_messages(app.agent))
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
                app, servers, conversation.ask, wait=0 if left is None else SERVERS_HAVE
            ),
        ):
            await conversation.hold(inputs)
    if path is not None and app.agent.messages:
        _tell(how_to_resume(path))
    return ANSWERED


def _tell(text: str) -> None:
    print(text, file=notes(), flush=True)
