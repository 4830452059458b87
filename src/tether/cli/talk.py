"""The commands of a conversation. They are registered like anybody's, and may be replaced like any."""
# ruff: noqa: D417 - the conversation is no argument of the command

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import tether
from tether import (
    Agent,
    AssistantMessage,
    Commands,
    Complete,
    Entry,
    HookPoint,
    Message,
    Session,
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
from tether.cli.display import brief
from tether.cli.editor import KEYS, file_names
from tether.cli.export import as_html, as_markdown

__all__ = ("talk_commands",)

Level = Literal["off", "minimal", "low", "medium", "high"]


def talk_commands() -> Commands:
    """Make the registry."""
    commands = Commands(Conversation)
    for function in _COMMANDS:
        complete = _COMPLETE.get(function, {})
        raw = function in {eval_, steer, describe}
        commands.command(function.__name__.rstrip("_"), complete=complete, raw=raw)(function)
    return commands


def help_(talk: Conversation, command: str | None = None) -> str:
    """Tell of all commands, or of one.

    Args:
        command: which one
    """
    told = talk.app.commands.help(command)
    if command is None and talk.app.prompts:
        told += f"\n\nprompts: {', '.join(f'/{name}' for name in talk.app.prompts)}"
    return told


def _command_names(_: str, talk: Conversation) -> list[str]:
    return [command.name for command in talk.app.commands]


def model(talk: Conversation, name: str | None = None) -> str:
    """Tell which model answers, or have another one answer from now on.

    Args:
        name: `vendor:model`
    """
    if name is not None:
        talk.agent.model = talk.app.model_named(name)
    return talk.agent.model.name


def _models(begun: str, talk: Conversation) -> list[str]:
    vendor, colon, _ = begun.partition(":")
    if not colon:
        return [*talk.app.models, "offline", *(f"{name}:" for name in vendors())]
    return [f"{vendor}:{model}" for model in known_models(vendor)]


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
        return "nothing is kept of this conversation"
    where = f" in {talk.kept_in}" if talk.kept_in else ""
    return f"{len(kept.entries)} entries, {len(kept.branches())} branches, at {kept.head}{where}"


def tree(talk: Conversation) -> str:
    """Show all that was said, on every branch; a * stands before what belongs to this one."""
    kept = talk.agent.session
    if kept is None:
        lines = [f"* {_line(m.id, m)}" for m in talk.agent.messages]
    else:
        here = {entry.id for entry in kept.branch}
        lines = [
            f"{'*' if entry.id in here else ' '} {'  ' * depth}{_line(entry.id, message)}"
            for entry, depth in _in_order_of_branches(kept)
            if (message := entry.message) is not None
        ]
    return "\n".join(lines) or "nothing was said yet"


def _in_order_of_branches(kept: Session) -> Iterator[tuple[Entry, int]]:
    """Give every entry behind the one it follows; where several follow the same one, those go deeper."""
    following: dict[str | None, list[Entry]] = {}
    for entry in kept.entries.values():
        following.setdefault(entry.parent, []).append(entry)
    waiting = [(entry, 0) for entry in reversed(following.get(None, []))]
    while waiting:
        entry, depth = waiting.pop()
        yield entry, depth
        after = following.get(entry.id, [])
        waiting += [(one, depth + (len(after) > 1)) for one in reversed(after)]


def _line(id_: str, message: Message) -> str:
    calls = [f"{call.name}(...)" for call in getattr(message, "tool_calls", ())]
    return f"{id_[:8]} {message.role:9} {brief(' '.join([message.text, *calls]))}"


def fork(talk: Conversation, entry: str) -> str:
    """Go back to behind a message; what is said next begins a branch, and nothing is lost.

    Args:
        entry: the beginning of an id that /tree shows
    """
    kept = talk.agent.session
    if kept is None:
        raise UsageError("nothing is kept of this conversation, so it has no branches")
    found = [id_ for id_ in kept.entries if id_.startswith(entry)]
    if len(found) != 1:
        raise UsageError(f"{len(found)} entries begin with {entry!r}; /tree shows them")
    talk.agent.reset()
    kept.fork(found[0])
    talk.agent.reset(kept.messages)
    return f"{len(talk.agent.messages)} messages on this branch"


def _entries(_: str, talk: Conversation) -> list[str]:
    kept = talk.agent.session
    entries = kept.entries.values() if kept is not None else ()
    return [entry.id[:8] for entry in entries if entry.kind == "message"]


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
    write = as_html if file.suffix in {".html", ".htm"} else as_markdown
    file.write_text(write(talk.agent.messages), encoding="utf-8")
    return f"written to {file}"


def _files(begun: str) -> list[str]:
    return list(file_names(begun))


async def eval_(talk: Conversation, code: str) -> Any:
    """Run Python in this process; `talk`, `app`, `agent`, `session`, `run` and `tether` are there, and await works.

    What is assigned stays for the next time.

    Args:
        code: statements; the value of the last is told, if it is an expression
    """
    names = talk.names
    names.update(
        talk=talk,
        app=talk.app,
        agent=talk.agent,
        session=talk.agent.session,
        run=talk.run,
        tether=tether,
    )
    body = ast.parse(code, "<eval>").body
    match body:
        case [*before, ast.Expr(value)]:
            await _evaluated(ast.Module(before, type_ignores=[]), names)
            return await _evaluated(ast.Expression(value), names)
        case _:
            return await _evaluated(ast.Module(body, type_ignores=[]), names)


async def _evaluated(code: ast.Module | ast.Expression, names: dict[str, Any]) -> Any:
    mode = "exec" if isinstance(code, ast.Module) else "eval"
    value = eval(compile(code, "<eval>", mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
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
        raise UsageError(
            f"nothing is called {name!r}; see /help, /tools and /hooks; keys are {', '.join(KEYS)}"
        )
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
    elif name in KEYS:
        yield f"key {name}: {KEYS[name]}"
    if plain in talk.app.prompts:
        yield f"prompt /{plain}: {talk.app.prompts[plain]}"


def _describable(_: str, talk: Conversation) -> list[str]:
    return [
        *(command.name for command in talk.app.commands),
        *(made.name for made in talk.agent.tools),
        *(hook.name for hook in talk.agent.hooks),
        *get_args(HookPoint),
        *talk.app.keys,
        *KEYS,
        *talk.app.prompts,
    ]


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

_COMPLETE: Mapping[Callable[..., Any], Mapping[str, Complete]] = {
    help_: {"command": _command_names},
    model: {"name": _models},
    fork: {"entry": _entries},
    export: {"file": _files},
    describe: {"name": _describable},
}
