"""The MCP servers of a conversation: those of a person, and those of a project, which a person has to allow.

The SDK of the protocol is imported only where there is a server.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tether import Text, UsageError, UserMessage
from tether.cli.door import styled, visible
from tether.cli.extensions import App, Trust, configuration_folder
from tether.cli.question import Question, at_terminal, is_agreed
from tether.cli.streams import warn
from tether.messages import UserBlock

if TYPE_CHECKING:
    from tether.mcp import Elicitation, Servers, ServerSpec

__all__ = ()

PERSONAL: Final = "mcp.json"
PROJECT: Final = ".mcp.json"

AskPerson = Callable[[Question], Awaitable[str]]
"""Puts a question to the person, and returns the answer."""

_REFERENCE: Final = re.compile(r"(?<!\S)@([a-zA-Z0-9_.-]+:\S+)")
_AFTER_A_NAME: Final = ".,;!?)]}\"'"
_LONGEST: Final = 2000


def servers_of(
    app: App,
    *,
    folder: Path,
    project: Path,
    ask: Callable[[Path], bool],
    tell: Callable[[str], None],
) -> "tuple[ServerSpec, ...]":
    """Read the servers of a person and of a project.

    Args:
        app: what is trusted in this process.
        folder: the configuration folder.
        project: the folder of the project.
        ask: whether the project's servers may be used; asked until it is allowed, and again when the file has changed.
        tell: prints what is wrong with a file, which is left out then.

    Returns:
        The servers; a person's own come before those of the project of the same name.
    """
    files = [folder / PERSONAL]
    own = project / PROJECT
    if own.is_file() and own.resolve() != files[0].resolve():
        trust = Trust(folder / "trusted.json", app.trusted)
        if trust.allows(own):
            files.append(own)
        elif ask(own):
            files.append(own)
            try:
                trust.remember(own)
            except OSError as error:
                tell(f"{error}; {own} is trusted until you leave")
    found: dict[str, ServerSpec] = {}
    for file in files:
        for spec in _read(file, folder, tell):
            found.setdefault(spec.name, spec)
    return tuple(found.values())


def chosen_servers(app: App) -> "tuple[ServerSpec, ...]":
    """Read the servers of the person and of this folder; those of the latter are asked about at the terminal."""
    return servers_of(
        app, folder=configuration_folder(), project=Path.cwd(), ask=_may_use, tell=warn
    )


def _may_use(file: Path) -> bool:
    if not at_terminal():
        warn(f"{file} is not trusted yet and was not used; start tether at a terminal to decide")
        return False
    return is_agreed(trust_question(file))


def _read(file: Path, folder: Path, tell: Callable[[str], None]) -> "Sequence[ServerSpec]":
    if not file.is_file():
        return ()
    try:
        from tether import mcp  # noqa: PLC0415 - as the module's docstring says

        return [signed_in(spec, folder) for spec in mcp.from_json(file)]
    except (UsageError, OSError, UnicodeDecodeError, ModuleNotFoundError) as error:
        tell(f"{error}; its servers are left out")
        return ()


def signed_in(spec: "ServerSpec", folder: Path) -> "ServerSpec":
    """Let a server at an address have the tokens of a person who has signed in to it."""
    from tether.mcp.oauth import signed_in as with_tokens  # noqa: PLC0415 - as the module's docstring says

    return with_tokens(spec, folder / "mcp-tokens")


def trust_question(file: Path) -> str:
    """Ask whether the servers of a project may be used, and show which programs that starts."""
    try:
        named = json.loads(file.read_text(encoding="utf-8")).get("mcpServers", {})
        lines = [f"  {visible(name)}: {_shown(about)}" for name, about in named.items()]
    except (OSError, ValueError, AttributeError):
        lines = ["  (it cannot be read)"]
    return "\n".join(
        [
            f"{visible(str(file))} gives tools to tether in this folder, from these servers:",
            *lines[:50],
            "Use them, now and later? [y/N] ",
        ]
    )


def _shown(about: object) -> str:
    """Show all of an entry: also its variables and headers, which may hold a person's keys."""
    shown = visible(json.dumps(about))
    if len(shown) > _LONGEST:
        return f"{shown[:_LONGEST]} [and {len(shown) - _LONGEST:,} more characters]"
    return shown


@asynccontextmanager
async def connected_servers(
    app: App, specs: "Sequence[ServerSpec]", ask: AskPerson | None, *, wait: float
) -> AsyncIterator[None]:
    """Connect to servers for the time of a block; the agent has their tools.

    Args:
        app: its agent follows the servers, and `app.servers` are these.
        specs: the servers.
        ask: asks the person; None where there is nobody to ask.
        wait: seconds to wait for the servers to answer.

    Cancellation:
        Closes the connections, and passes on.
    """
    if not specs:
        yield
        return
    from tether import mcp  # noqa: PLC0415 - as the module's docstring says

    async def elicit(elicitation: "Elicitation") -> Any:
        return None if ask is None else await ask_fields(elicitation, ask)

    roots = [Path.cwd()]
    async with mcp.connected(
        *specs, ask=None if ask is None else elicit, roots=roots, wait=wait
    ) as servers:
        servers.follow(app.agent)
        app.servers = servers
        try:
            yield
        finally:
            app.servers = None


async def ask_fields(elicitation: "Elicitation", ask: AskPerson) -> Any:
    """Ask a person what a server wants to know, field by field.

    Returns:
        The fields; False, where the person gave no answer to what is needed.

    Cancellation:
        At once; the question is withdrawn.
    """
    whose = f"The server {elicitation.server} asks: {elicitation.message[:_LONGEST]}\n"
    if elicitation.url is not None:
        where = f"Open {elicitation.url} yourself, if you trust it.\n"
        answer = await ask(_question(f"{whose}{where}", "done? [y/N] "))
        return answer.strip().lower() in {"y", "yes"}
    if not elicitation.fields:
        answer = await ask(_question(whose, "agree? [y/N] "))
        return answer.strip().lower() in {"y", "yes"}
    given: dict[str, Any] = {}
    for name, about in elicitation.fields.items():
        needed = name in elicitation.required
        answer = (await ask(_question(whose, _prompt(name, about, needed=needed)))).strip()
        if answer:
            given[name] = _value(answer, about)
        elif needed:
            return False
    return given


def _question(details: str, line: str) -> Question:
    return Question(visible(line), styled(details))


def _prompt(name: str, about: Mapping[str, Any], *, needed: bool) -> str:
    kind = "|".join(str(one) for one in about.get("enum") or []) or str(about.get("type", "text"))
    empty = "empty to decline" if needed else "may be empty"
    return f"{str(about.get('title') or name)[:100]} ({kind[:200]}; {empty}): "


def _value(answer: str, about: Mapping[str, Any]) -> Any:
    """Take an answer as what the server wants; what is none is left to the server to refuse."""
    try:
        match about.get("type"):
            case "integer":
                return int(answer)
            case "number":
                return float(answer)
            case "boolean":
                return answer.lower() in {"y", "yes", "true", "1"}
            case "array":
                return [one.strip() for one in answer.split(",")]
            case _:
                return answer
    except ValueError:
        return answer


def references_in(text: str, servers: "Servers | None") -> tuple[str, ...]:
    """Find the resources of servers that a person names behind an `@`: `@server:resource`."""
    if servers is None:
        return ()
    found = (one[1].rstrip(_AFTER_A_NAME) for one in _REFERENCE.finditer(text))
    return tuple(one for one in dict.fromkeys(found) if one.partition(":")[0] in servers)


async def resources_read(
    references: Sequence[str], servers: "Servers", tell: Callable[[str], None]
) -> tuple[UserBlock, ...]:
    """Read resources; what cannot be read is told.

    Cancellation:
        While it waits for a server.
    """
    blocks: list[UserBlock] = []
    for reference in references:
        try:
            blocks += await servers.read(reference)
        except UsageError as error:
            tell(f"! @{reference} is not attached: {error}")
    return tuple(blocks)


def prompt_names(servers: "Servers | None") -> Iterator[str]:
    """Name the prompts of servers, as they stand behind a slash: `server:prompt`."""
    for server in servers.values() if servers is not None else ():
        for prompt in server.prompts:
            if " " not in prompt.name:
                yield f"{server.name}:{prompt.name}"


def resource_names(servers: "Servers | None") -> Iterator[str]:
    """Name the resources of servers, as they stand behind an `@`: `server:resource`."""
    for server in servers.values() if servers is not None else ():
        for resource in server.resources:
            yield f"{server.name}:{resource.uri if ' ' in resource.name else resource.name}"


async def prompted(line: str, servers: "Servers") -> UserMessage:
    """Get the prompt that a line names: `server:prompt word name=word`.

    Raises:
        UsageError: it lacks an argument, or the server refused.

    Cancellation:
        While it waits for the server.
    """
    reference, *words = line.split()
    server, _, name = reference.partition(":")
    prompt = next(one for one in servers[server].prompts if one.name == name)
    wanted = [argument.name for argument in prompt.arguments or []]
    given = dict(zip(wanted, [word for word in words if "=" not in word], strict=False))
    given |= dict(word.split("=", 1) for word in words if "=" in word)
    missing = [a.name for a in prompt.arguments or [] if a.required and a.name not in given]
    if missing:
        raise UsageError(f"/{reference} wants {', '.join(missing)}; write them behind it")
    blocks = await servers.prompt(reference, **given)
    return UserMessage(blocks or (Text(""),))


def described(servers: "Servers | None", name: str | None) -> str:
    """Describe the servers, or one of them with all that it offers."""
    if not servers:
        return "there are no MCP servers; `tether mcp add` adds one"
    if name is None:
        return "\n".join(f"{one.name}: {one.status}" for one in servers.values())
    if name not in servers:
        raise UsageError(f"no server is called {name!r}; there are: {', '.join(servers)}")
    server = servers[name]
    lines = [f"{server.name}: {server.status}"]
    lines += [f"  tool {tool.name}: {_first_line(tool.description)}" for tool in server.tools]
    lines += [f"  left out {tool}: {reason}" for tool, reason in server.refused.items()]
    lines += [f"  /{name}:{one.name}: {_first_line(one.description)}" for one in server.prompts]
    lines += [f"  @{name}:{one.name}: {one.uri}" for one in server.resources]
    lines += [f"  @{name}:{one.uri_template}" for one in server.resource_templates]
    return "\n".join(lines)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0][:200]
