"""The slash commands of a conversation. They are registered like those of extensions, which may replace them."""
# ruff: noqa: D417 - the conversation is not an argument of the command

import inspect
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from tether import (
    Agent,
    AssistantMessage,
    Commands,
    Message,
    Tool,
    Usage,
    UsageError,
    UserMessage,
    known_models,
    price_of,
)
from tether.advice.compaction import compact
from tether.cli.changes.commands import add_change_commands, files_changed, undone_files
from tether.cli.context.commands import context, todo
from tether.cli.conversation import Conversation
from tether.cli.display import brief
from tether.cli.editor import KEYS
from tether.cli.evaluating import evaluate
from tether.cli.input.completing import file_names
from tether.cli.mcp_servers import described
from tether.cli.permission.commands import add_permission_commands
from tether.cli.screen.choices import choice_of_model, chosen_entry, is_said
from tether.cli.screen.commands import add_screen_commands
from tether.cli.screen.fitting import cut
from tether.cli.screen.tree import said, tree_of
from tether.commands import Command, Complete
from tether.export import as_html, as_markdown
from tether.hooks import HookPoint, Hooks
from tether.model import ThinkingLevel
from tether.models.catalogue import own_server, provider_keys

__all__ = ()


def slash_commands() -> Commands:
    """Make the registry."""
    commands = Commands(Conversation)
    for function in _COMMANDS:
        complete = _COMPLETE.get(function, {})
        raw = function in {_eval, _steer, _describe}
        commands.command(function.__name__.lstrip("_"), complete=complete, raw=raw)(function)
    add_screen_commands(commands)
    add_permission_commands(commands)
    add_change_commands(commands)
    return commands


_USAGE_COLUMN: Final = 18
_ALSO: Final = (
    "@file       attach a file or a folder; Tab completes its name",
    "!command    run a command of yours; the agent reads its output with your next message",
    "#note       keep a note for the agent in AGENTS.md",
    "Esc         cut off what is in flight; Ctrl-C stops the run, and twice leaves",
    "Shift-Tab   switch the mode; /mode explains it",
    "Ctrl-Q      say something when the agent has finished, and not after this step",
    "Ctrl-O      show the whole output of the last tool",
)
"""What a line may have, and the keys that most people want."""


def _help(conversation: Conversation, command: str | None = None) -> str:
    """List all commands, or explain one.

    Args:
        command: its name
    """
    commands, prompts = conversation.app.commands, conversation.app.prompts
    if command is not None:
        return f"/{commands.help(command.removeprefix('/'))}"
    lines = [line for command in commands for line in _help_lines(command)]
    lines += ["", *_ALSO]
    if prompts:
        lines += ["", f"prompts: {', '.join(f'/{name}' for name in prompts)}"]
    return "\n".join(lines)


def _help_lines(command: Command) -> Iterator[str]:
    """Write a command in two columns; one that is too long for the first has what it does below."""
    usage = f"/{command.usage}"
    if len(usage) > _USAGE_COLUMN:
        yield usage
        usage = ""
    yield f"{usage:{_USAGE_COLUMN}}  {command.help}"


def _command_names(_: str, conversation: Conversation) -> list[str]:
    return [command.name for command in conversation.app.commands]


async def _model(
    conversation: Conversation, name: str | None = None, address: str | None = None
) -> str:
    """Switch to another model, at the same address if one was given; without a name, choose one, or show it.

    Args:
        name: `provider:model`
        address: the URL of its server; `default` for its provider's own
    """
    if name is None and conversation.has_editor:
        name = await conversation.ask(choice_of_model(conversation)) or None
    if name is not None and (name, address) != (conversation.agent.model.name, None):
        conversation.app.use_model(name, address)
    model = conversation.agent.model
    server = own_server(model)
    return f"{model.name} at {server}" if server else model.name


def _models(name_start: str, conversation: Conversation) -> list[str]:
    provider, colon, _ = name_start.partition(":")
    if not colon:
        return [*conversation.app.models, "offline", *(f"{name}:" for name in provider_keys())]
    return [f"{provider}:{model}" for model in known_models(provider)]


def _tools(conversation: Conversation) -> str:
    """List the tools."""
    return "\n".join(
        f"{t.name}: {t.description.partition(chr(10))[0]}" for t in conversation.agent.tools
    )


def _mcp(conversation: Conversation, server: str | None = None) -> str:
    """List the MCP servers, or what one of them offers: tools, prompts behind a slash, resources behind an @.

    Args:
        server: its name
    """
    return described(conversation.app.servers, server)


def _server_names(_: str, conversation: Conversation) -> list[str]:
    return [*(conversation.app.servers or ())]


def _thinking(conversation: Conversation, level: ThinkingLevel | None = None) -> str:
    """Show how much the model thinks, or change it.

    Args:
        level: from off to high
    """
    if level is not None:
        conversation.agent.thinking = level
    return f"thinking: {conversation.agent.thinking or 'vendor default'}"


def _session(conversation: Conversation) -> str:
    """Show where this conversation is kept, and how long it is."""
    kept = conversation.agent.session
    if kept is None:
        return "this conversation is not kept"
    where = f" in {conversation.session_path}" if conversation.session_path else ""
    entries = _counted(len(kept.entries), "entry", "entries")
    branches = _counted(len(kept.branches()), "branch", "branches")
    return f"{entries}, {branches}, at {kept.head or 'the start'}{where}"


def _tree(conversation: Conversation) -> str:
    """Show the messages of all branches; a * marks those of this branch."""
    columns = shutil.get_terminal_size().columns
    kept = conversation.agent.session
    if kept is None:
        lines = [cut(f"* {m.id[:8]}  {said(m)}", columns) for m in conversation.agent.messages]
    else:
        lines = [line.text(columns) for line in tree_of(kept)]
    return "\n".join(lines) or "no messages yet"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


async def _fork(conversation: Conversation, entry: str | None = None) -> str | None:
    """Go back to a message; what you say next starts a new branch, and nothing is lost.

    Args:
        entry: the first characters of an id that /tree shows; without it, you choose
    """
    kept = conversation.agent.session
    if kept is None:
        raise UsageError("this conversation is not kept, so it has no branches")
    if entry is None and not (entry := await chosen_entry(conversation, kept)):
        return None
    found = [id_ for id_ in kept.entries if id_.startswith(entry)]
    if not found:
        raise UsageError(f"no entry begins with {entry!r}; /tree shows all")
    if len(found) > 1:
        raise UsageError(f"{len(found)} entries begin with {entry!r}; type more of the id")
    conversation.agent.reset()
    kept.fork(found[0])
    conversation.agent.reset(kept.messages)
    return f"{_counted(len(conversation.agent.messages), 'message')} on this branch"


def _entries(_: str, conversation: Conversation) -> list[str]:
    kept = conversation.agent.session
    entries = kept.entries.values() if kept is not None else ()
    said_in = [entry for entry in entries if entry.message is not None and is_said(entry.message)]
    return [entry.id[:8] for entry in said_in]


def _undo(conversation: Conversation, files: bool = False) -> str:  # noqa: FBT001, FBT002 - a flag
    """Take back the last request and everything after it.

    Args:
        files: take back too what it has changed in files, as far as nobody else has changed them since
    """
    agent = conversation.agent
    before = _before_last_request(agent)
    taken_back = agent.messages[len(before) :]
    _go_back(agent, before)
    left = f"{_counted(len(before), 'message')} {'is' if len(before) == 1 else 'are'} left"
    if files:
        done = undone_files(conversation, taken_back)
        return "\n".join([*(done or ["no file was changed"]), left])
    if changed := files_changed(conversation, taken_back):
        stay = "1 file stays" if changed == 1 else f"{changed} files stay"
        left += f"; {stay} as changed (`/undo --files` takes files back too)"
    return left


def _retry(conversation: Conversation) -> None:
    """Send the last request again."""
    before = _before_last_request(conversation.agent)
    last = conversation.agent.messages[len(before)]
    assert isinstance(last, UserMessage)
    _go_back(conversation.agent, before)
    conversation.start(UserMessage(last.content))


def _before_last_request(agent: Agent) -> tuple[Message, ...]:
    requests = [n for n, message in enumerate(agent.messages) if isinstance(message, UserMessage)]
    if not requests:
        raise UsageError("there is no request yet")
    return agent.messages[: requests[-1]]


def _go_back(agent: Agent, messages: tuple[Message, ...]) -> None:
    agent.reset(messages)
    if agent.session is not None:
        agent.session.fork(messages[-1].id if messages else None)


def _compact(conversation: Conversation) -> str:
    """Summarise the start of the conversation before the next reply."""
    hooks = conversation.agent.hooks
    summarise = compact(window=1, keep=2)

    async def compact_once(messages: Any, turn: Any) -> Any:
        hooks.remove("transform_context", compact_once)
        return await summarise(messages, turn)

    hooks.add("transform_context", compact_once)
    return "the start of the conversation will be summarised before the next reply"


def _steer(conversation: Conversation, text: str) -> None:
    """Say something now: interrupt the reply or the tools, and go on with this.

    Args:
        text: what to say
    """
    if conversation.run is None:
        conversation.tell("(nothing is running: this is sent as a message)")
        conversation.say(text)
    else:
        conversation.agent.steer(text, interrupt=True)


def _cost(conversation: Conversation) -> str:
    """Show how many tokens were used, and what they cost where the price is known."""
    replies = [m for m in conversation.agent.messages if isinstance(m, AssistantMessage)]
    spent = sum((reply.usage for reply in replies), Usage())
    if not spent.total_tokens:
        return "0 tokens in, 0 out: nothing was spent yet"
    return f"{spent.input_tokens:,} tokens in, {spent.output_tokens:,} out, {_money(replies)}"


def _money(replies: Sequence[AssistantMessage]) -> str:
    paid = [reply for reply in replies if reply.model != "offline" and reply.usage.total_tokens]
    if not paid:
        return "free: the offline model"
    try:
        prices = [price_of(reply) for reply in paid]
    except UsageError:
        return "cost unknown (pip install 'tether[prices]' adds prices)"
    if not any(prices):
        return "cost unknown: no price is known for this model"
    unknown = prices.count(0.0)
    return f"${sum(prices):.4f}" + (f", and {unknown} replies of unknown cost" if unknown else "")


def _export(conversation: Conversation, file: Path) -> str:
    """Write the conversation to a file.

    Args:
        file: a name that ends in .html makes a web page, any other name Markdown
    """
    messages = conversation.agent.messages
    said = next((m.text for m in messages if isinstance(m, UserMessage) and m.text), "tether")
    is_page = file.suffix in {".html", ".htm"}
    try:
        written = as_html(messages, brief(said)) if is_page else as_markdown(messages)
        file.write_text(written, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from error
    return f"written to {file}"


def _files(path_start: str) -> list[str]:
    return list(file_names(path_start))


async def _eval(conversation: Conversation, code: str) -> Any:
    """Run Python in this process, with `agent`, `session`, `run`, `app`, `conversation` and `tether`; await works.

    Variables stay for the next /eval.

    Args:
        code: statements; if the last is an expression, its value is shown
    """
    return await evaluate(conversation, code)


def _hooks(conversation: Conversation) -> str:
    """List the hooks in the order in which they run."""
    lines = [f"{h.point:18} {h.depth:5} {h.name}" for h in conversation.agent.hooks]
    return "\n".join(lines) or "no hooks"


def _describe(conversation: Conversation, name: str) -> str:
    """Explain a command, tool, hook, hook point, key or prompt: what it does, and where it is defined.

    Args:
        name: its name
    """
    found = list(_descriptions(conversation, name))
    if not found:
        raise UsageError(
            f"nothing is called {name!r}; see /help, /tools and /hooks; the keys are {', '.join(KEYS)}"
        )
    return "\n\n".join(found)


def _descriptions(conversation: Conversation, name: str) -> Iterator[str]:
    plain = name.removeprefix("/")
    if plain in conversation.app.commands:
        command = conversation.app.commands[plain]
        yield f"command /{conversation.app.commands.help(plain)}\n{_place(command.function)}"
    yield from _tool_description(conversation.agent, name)
    yield from _hook_descriptions(conversation.agent.hooks, name)
    if (press := conversation.app.keys.get(name)) is not None:
        yield f"key {name}: {inspect.getdoc(press) or ''}\n{_place(press)}"
    elif name in KEYS:
        yield f"key {name}: {KEYS[name]}"
    if plain in conversation.app.prompts:
        yield f"prompt /{plain}: {conversation.app.prompts[plain]}"


def _tool_description(agent: Agent, name: str) -> Iterator[str]:
    for tool in agent.tools:
        if tool.name == name:
            around = ", ".join(hook.name for hook in agent.hooks.at("around_tool")) or "no hook"
            marks = ("read_only", "destructive", "idempotent")
            marked = ", ".join([tool.kind, *(mark for mark in marks if getattr(tool, mark))])
            yield f"tool {name} ({marked}): {tool.description}\n{_place(tool)}\nwrapped by {around}"


def _hook_descriptions(hooks: Hooks, name: str) -> Iterator[str]:
    for hook in hooks:
        if hook.name == name:
            about = inspect.getdoc(hook.function) or ""
            yield f"hook {name} at {hook.point}: {about}\n{_place(hook.function)}"
    for point in get_args(HookPoint):
        if point == name:
            table = (inspect.getdoc(inspect.getmodule(Hooks)) or "").splitlines()
            about = next((line for line in table if line.strip().startswith(name)), name)
            there = ", ".join(hook.name for hook in hooks.at(point)) or "none"
            yield f"hook point {' '.join(about.split())}\nhooks there: {there}"


def _describable(_: str, conversation: Conversation) -> list[str]:
    return [
        *(command.name for command in conversation.app.commands),
        *(tool.name for tool in conversation.agent.tools),
        *(hook.name for hook in conversation.agent.hooks),
        *get_args(HookPoint),
        *conversation.app.keys,
        *KEYS,
        *conversation.app.prompts,
    ]


def _place(thing: Callable[..., Any] | Tool) -> str:
    function = inspect.unwrap(thing.function if isinstance(thing, Tool) else thing)
    try:
        return f"defined in {inspect.getsourcefile(function)}:{inspect.getsourcelines(function)[1]}"
    except (OSError, TypeError):
        return "its source is not available"


async def _reload(conversation: Conversation) -> str:
    """Load the init files and extensions again; the conversation goes on."""
    conversation.app.forget()
    await conversation.reload()
    return "loaded again"


def _quit(conversation: Conversation) -> None:
    """Leave."""
    conversation.leave()


_COMMANDS: tuple[Callable[..., Any], ...] = (
    _help,
    _model,
    _tools,
    _mcp,
    _thinking,
    _session,
    _tree,
    _fork,
    _undo,
    _retry,
    _compact,
    context,
    todo,
    _steer,
    _cost,
    _export,
    _eval,
    _hooks,
    _describe,
    _reload,
    _quit,
)

_COMPLETE: Mapping[Callable[..., Any], Mapping[str, Complete]] = {
    _help: {"command": _command_names},
    _model: {"name": _models},
    _mcp: {"server": _server_names},
    _fork: {"entry": _entries},
    _export: {"file": _files},
    _describe: {"name": _describable},
}
