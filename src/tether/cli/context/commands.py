"""The slash commands about what the agent knows, and those that are files of the person or the project."""
# ruff: noqa: D417 - the conversation is not an argument of the command

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

from attrs import evolve

from tether import (
    Agent,
    AssistantMessage,
    Message,
    ToolCall,
    UserMessage,
    context_window,
)
from tether.cli.attachments import message_with_files
from tether.cli.context.gathering import Context
from tether.cli.context.instructions import joined_in, name_of
from tether.cli.context.markdown_commands import MarkdownCommand, for_one_run
from tether.cli.context.places import shown
from tether.cli.context.skills import Skill, skills_section
from tether.cli.conversation import Conversation
from tether.cli.extensions import App
from tether.cli.streams import warn
from tether.toolbox import todo_of

__all__ = ()

_BYTES_OF_A_TOKEN = 4


def context(conversation: Conversation, part: Literal["prompt"] | None = None) -> str:
    """Show what the model is given, and about how many tokens each part takes.

    Args:
        part: `prompt` shows the system prompt itself
    """
    agent = conversation.agent
    if part == "prompt":
        return agent.system or "there is no system prompt"
    known = conversation.app.context
    rows = [*_rows(agent, known), *_rows_of_conversation(agent.messages)]
    width = max(len(f"{tokens:,}") for tokens, _ in rows)
    lines = [_head(agent), *(f"{tokens:{width},}  {about}" for tokens, about in rows)]
    if known is not None and known.problems:
        lines += ["not as it should be:", *(f"  {problem}" for problem in known.problems)]
    return "\n".join(lines)


def todo(conversation: Conversation) -> str:
    """Show what the agent has listed as to be done."""
    items = todo_of(conversation.agent.messages)
    return "\n".join(item.line for item in items) or "there is no list yet"


def _head(agent: Agent) -> str:
    name = agent.model.name
    window = context_window(name) if ":" in name else None
    replies = (m.usage for m in reversed(agent.messages) if isinstance(m, AssistantMessage))
    last = next((usage for usage in replies if usage.input_tokens), None)
    of = f" of {window:,}" if window else ""
    if last is None:
        used = f"a window of {window:,} tokens; " if window else ""
        return f"{name}: {used}about this many tokens are sent:"
    used = f"{last.input_tokens + last.output_tokens:,}{of} tokens"
    return f"{name}: {used} with the last reply; about this many for each part:"


def _rows(agent: Agent, known: Context | None) -> Iterator[tuple[int, str]]:
    system = agent.system or ""
    sections = known.sections if known is not None else ()
    rest = _tokens(system) - sum(_tokens(section) for section in sections)
    yield max(rest, 0), "system prompt; `/context prompt` shows all of it"
    if known is not None:
        for one in known.instructions:
            yield _tokens(one.section), one.name
        if known.skills:
            names = ", ".join(skill.name for skill in known.skills)
            yield _tokens(skills_section(known.skills)), f"skills: {names}"
    specs = [json.dumps(one.spec.parameters) + one.description for one in agent.tools]
    yield sum(map(_tokens, specs)), f"{len(specs)} tools; /tools lists them"


def _rows_of_conversation(messages: Sequence[Message]) -> Iterator[tuple[int, str]]:
    joined = joined_in(messages)
    for section in joined:
        yield _tokens(section), f"{name_of(section)}, since a tool worked there"
    texts = [json.dumps(call.arguments, default=str) for m in messages for call in _calls(m)]
    said = sum(map(_tokens, [*texts, *(message.text for message in messages)]))
    yield max(said - sum(map(_tokens, joined)), 0), f"{len(messages)} messages"


def _calls(message: Message) -> Sequence[ToolCall]:
    return message.tool_calls if isinstance(message, AssistantMessage) else ()


def _tokens(text: str) -> int:
    return -(-len(text.encode(errors="replace")) // _BYTES_OF_A_TOKEN)


def add_commands(app: App) -> None:
    """Register the commands and skills of files; `App.forget` takes them away. None replaces another command."""
    known = app.context
    if known is None:
        return
    problems = list(known.problems)
    for command in known.commands:
        if command.name in app.commands or command.name in app.prompts:
            name = shown(command.path, known.folder)
            problems.append(f"{name} is left out: there is a command /{command.name} already")
        else:
            _add(app, command.name, command.description, partial(_send, command), command.hint)
    for skill in known.skills:
        _add(app, f"skill:{skill.name}", skill.description, partial(_use, skill))
    app.context = evolve(known, problems=problems)


def request_of(app: App, line: str) -> UserMessage | None:
    """Make the request that a line is where it begins with a command or a skill of a file, and no conversation is held.

    Args:
        app: what was gathered; a model that the command names answers the next run.
        line: what the person typed.

    Raises:
        UsageError: there is no such model.
        ValueError: the skill can no longer be read as one.
        OSError: it cannot be read.
    """
    name, _, words = line.removeprefix("/").partition(" ")
    if app.context is None or not line.startswith("/"):
        return None
    for command in app.context.commands:
        if command.name == name:
            if command.model is not None:
                for_one_run(app.agent, app.model_named(command.model))
            return message_with_files(command.expanded(words.strip()), warn)
    for skill in app.context.skills:
        if name == f"skill:{skill.name}":
            return skill.message(app.context.folder, words.strip())
    return None


def _add(
    app: App, name: str, help: str, send: Callable[[Conversation, str], None], hint: str = ""
) -> None:
    def run(conversation: Conversation, words: str = "") -> None:
        send(conversation, words)

    app.command(name, help=help, raw=True, hint=hint)(run)


def _send(command: MarkdownCommand, conversation: Conversation, words: str) -> None:
    if command.model is not None and conversation.run is None:
        for_one_run(conversation.agent, conversation.app.model_named(command.model))
    conversation.say(command.expanded(words))


def _use(skill: Skill, conversation: Conversation, words: str) -> None:
    known = conversation.app.context
    assert known is not None  # the skill is of it
    conversation.say_message(skill.message(known.folder, words))
