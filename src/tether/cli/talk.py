"""The commands of a conversation. They are registered like anybody's, and may be replaced like any."""
# ruff: noqa: D417 - the conversation is no argument of the command

import ast
import html
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import tether
from tether import (
    Agent,
    AssistantMessage,
    Commands,
    HookPoint,
    Message,
    Tool,
    Usage,
    UsageError,
    UserMessage,
    known_models,
    price_of,
    vendors,
)
from tether.advice.compaction import compact
from tether.cli.conversation import Conversation

__all__ = ("talk_commands",)

Level = Literal["off", "minimal", "low", "medium", "high"]


def talk_commands() -> Commands:
    """Make the registry."""
    commands = Commands(Conversation)
    for function in _COMMANDS:
        complete = {"name": _models} if function is model else {}
        raw = function in {eval_, steer}
        commands.command(function.__name__.rstrip("_"), complete=complete, raw=raw)(function)
    return commands


def _models(begun: str) -> list[str]:
    vendor, colon, _ = begun.partition(":")
    if not colon:
        return [f"{name}:" for name in vendors()]
    return [f"{vendor}:{model}" for model in known_models(vendor)]


def help_(talk: Conversation, command: str | None = None) -> str:
    """Tell of all commands, or of one.

    Args:
        command: which one
    """
    return talk.app.commands.help(command)


def model(talk: Conversation, name: str | None = None) -> str:
    """Tell which model answers, or have another one answer from now on.

    Args:
        name: `vendor:model`
    """
    if name is not None:
        talk.agent.model = talk.app.model_named(name)
    return talk.agent.model.name


def tools(talk: Conversation) -> str:
    """List the tools."""
    return "\n".join(f"{t.name}: {t.description.partition(chr(10))[0]}" for t in talk.agent.tools)


def thinking(talk: Conversation, level: Level | None = None) -> str:
    """Tell how much the model thinks, or change it.

    Args:
        level: how much
    """
    if level is not None:
        talk.agent.thinking = level
    return f"thinking: {talk.agent.thinking or 'as the vendor has it'}"


def session(talk: Conversation) -> str:
    """Tell what is kept of this conversation, and where."""
    kept = talk.agent.session
    if kept is None:
        return "nothing is kept; start with `tether --session FILE`"
    return f"{len(kept.entries)} entries, {len(kept.branches())} branches, at {kept.head}"


def tree(talk: Conversation) -> str:
    """Show the messages of this conversation, and where it has branches."""
    kept = talk.agent.session
    if kept is None:
        lines = [_line(m.id, m) for m in talk.agent.messages]
    else:
        here = {entry.id for entry in kept.path}
        lines = [
            f"{'*' if entry.id in here else ' '} {_line(entry.id, message)}"
            for entry in kept.entries.values()
            if (message := entry.message) is not None
        ]
    return "\n".join(lines) or "nothing was said yet"


def _line(id_: str, message: Message) -> str:
    text = " ".join(message.text.split())
    return f"{id_[:8]} {message.role:9} {text[:60]}"


def fork(talk: Conversation, entry: str) -> str:
    """Go back to behind a message; what is said next begins a branch, and nothing is lost.

    Args:
        entry: the beginning of an id that /tree shows
    """
    kept = talk.agent.session
    if kept is None:
        raise UsageError("there is no session to fork; start with `tether --session FILE`")
    found = [id_ for id_ in kept.entries if id_.startswith(entry)]
    if len(found) != 1:
        raise UsageError(f"{len(found)} entries begin with {entry!r}; /tree shows them")
    talk.agent.reset()
    kept.fork(found[0])
    talk.agent.reset(kept.messages)
    return f"{len(talk.agent.messages)} messages on this branch"


def undo(talk: Conversation) -> str:
    """Take back what was said last, and what came of it."""
    before = _before_last_request(talk.agent)
    _go_back(talk.agent, before)
    return f"{len(before)} messages are left"


def retry(talk: Conversation) -> None:
    """Ask once more what was asked last."""
    before = _before_last_request(talk.agent)
    last = talk.agent.messages[len(before)]
    assert isinstance(last, UserMessage)
    _go_back(talk.agent, before)
    talk.start(UserMessage(last.content))


def _before_last_request(agent: Agent) -> tuple[Message, ...]:
    asked = [n for n, message in enumerate(agent.messages) if isinstance(message, UserMessage)]
    if not asked:
        raise UsageError("nothing was said yet")
    return agent.messages[: asked[-1]]


def _go_back(agent: Agent, messages: tuple[Message, ...]) -> None:
    agent.reset(messages)
    if agent.session is not None:
        agent.session.fork(messages[-1].id if messages else None)


def compact_(talk: Conversation) -> str:
    """Have the beginning of the conversation summarised before the next answer."""
    hooks = talk.agent.hooks
    shorten = compact(window=1, keep=2)

    async def once(messages: Any, turn: Any) -> Any:
        hooks.remove("transform_context", once)
        return await shorten(messages, turn)

    hooks.add("transform_context", once)
    return "the conversation is summarised before the next answer"


def steer(talk: Conversation, text: str) -> None:
    """Say something now: cut off what is in flight, and go on with this.

    Args:
        text: what to say
    """
    talk.agent.steer(text, interrupt=True)


def cost(talk: Conversation) -> str:
    """Tell how many tokens were spent, and what they cost where that is known."""
    replies = [m for m in talk.agent.messages if isinstance(m, AssistantMessage)]
    spent = sum((reply.usage for reply in replies), Usage())
    try:
        money = f", ${sum(map(price_of, replies)):.4f}"
    except UsageError:
        money = ""
    return f"{spent.input_tokens:,} tokens in, {spent.output_tokens:,} out{money}"


def export(talk: Conversation, file: Path) -> str:
    """Write the conversation to a file.

    Args:
        file: what it is called: *.html is a page by itself, all else is Markdown
    """
    text = "\n\n".join(_markdown(talk.agent.messages))
    if file.suffix == ".html":
        text = f"<!doctype html><meta charset=utf-8><title>tether</title><pre>{html.escape(text)}</pre>"
    file.write_text(f"{text}\n", encoding="utf-8")
    return f"written to {file}"


def _markdown(messages: tuple[Message, ...]) -> Iterator[str]:
    for message in messages:
        yield f"## {message.role}"
        if message.text:
            yield message.text
        if isinstance(message, AssistantMessage):
            for call in message.tool_calls:
                yield f"`{call.name}({dict(call.arguments)})`"


async def eval_(talk: Conversation, code: str) -> Any:
    """Run Python in this process; `talk`, `app`, `agent`, `session`, `run` and `tether` are there, and await works.

    Args:
        code: an expression, or statements
    """
    names = {
        "talk": talk,
        "app": talk.app,
        "agent": talk.agent,
        "session": talk.agent.session,
        "run": talk.run,
        "tether": tether,
    }
    awaiting = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        compiled = compile(code, "<eval>", "eval", flags=awaiting)
    except SyntaxError:
        compiled = compile(code, "<eval>", "exec", flags=awaiting)
    value = eval(compiled, names)
    return await value if inspect.isawaitable(value) else value


def hooks(talk: Conversation) -> str:
    """List the hooks and advice, in the order in which they run."""
    lines = [f"{h.point:18} {h.depth:5} {h.name}" for h in talk.agent.hooks]
    return "\n".join(lines) or "there are none"


def describe(talk: Conversation, name: str) -> str:
    """Tell what a command, a tool, a hook, a hook's point or a key does, where it is defined, and what advises it.

    Args:
        name: which
    """
    found = list(_described(talk, name))
    if not found:
        raise UsageError(f"nothing is called {name!r}; see /help, /tools and /hooks")
    return "\n\n".join(found)


def _described(talk: Conversation, name: str) -> Iterator[str]:
    own = talk.agent.hooks
    plain = name.removeprefix("/")
    if plain in talk.app.commands:
        command = talk.app.commands[plain]
        yield f"command /{talk.app.commands.help(plain)}\n{_place(command.function)}"
    for made in talk.agent.tools:
        if made.name == name:
            around = ", ".join(hook.name for hook in own.at("around_tool")) or "nothing"
            yield f"tool {made.name}: {made.description}\n{_place(made)}\nadvised by {around}"
    for hook in own:
        if hook.name == name:
            yield f"hook {name} at {hook.point}: {inspect.getdoc(hook.function) or ''}\n{_place(hook.function)}"
    if name in get_args(HookPoint):
        table = inspect.getdoc(inspect.getmodule(type(own))) or ""
        [about, *_] = [line for line in table.splitlines() if line.strip().startswith(name)]
        there = ", ".join(hook.name for hook in own.at(name)) or "nothing"  # type: ignore[arg-type]  # it is one
        yield f"hook point {' '.join(about.split())}\nthere is {there}"
    if name in talk.app.keys:
        yield f"key {name}: {inspect.getdoc(talk.app.keys[name]) or ''}\n{_place(talk.app.keys[name])}"


def _place(thing: Callable[..., Any] | Tool) -> str:
    function = inspect.unwrap(thing.function if isinstance(thing, Tool) else thing)
    try:
        return f"defined in {inspect.getsourcefile(function)}:{inspect.getsourcelines(function)[1]}"
    except (OSError, TypeError):
        return "defined where its source is not to be found"


def reload(talk: Conversation) -> str:
    """Load the init files and extensions again; the conversation stays."""
    talk.app.forget()
    talk.reload()
    return "loaded again"


def quit_(talk: Conversation) -> None:
    """Leave."""
    talk.leaving = True


_COMMANDS: tuple[Callable[..., Any], ...] = (
    help_,
    model,
    tools,
    thinking,
    session,
    tree,
    fork,
    undo,
    retry,
    compact_,
    steer,
    cost,
    export,
    eval_,
    hooks,
    describe,
    reload,
    quit_,
)
