"""A server of the SDK that does all that servers may: it reports, asks, shows and changes."""

import base64
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp.types import ToolAnnotations
from pydantic import BaseModel

from mcp import types

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


class Person(BaseModel):
    """What the server asks."""

    name: str
    age: int = 0


def who() -> Elicit[Person]:
    return Elicit("Who are you?", Person)


def poem(topic: str) -> Sample:
    message = types.SamplingMessage(
        role="user", content=types.TextContent(type="text", text=f"A poem about {topic}, please.")
    )
    return Sample([message], max_tokens=100, system_prompt="You are a poet.")


def folders() -> ListRoots:
    return ListRoots()


class Log:
    """What has happened inside the server."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.cancelled = anyio.Event()
        self.calls: list[str] = []


def good_server(log: Log | None = None, **options: Any) -> MCPServer[Any]:
    server = MCPServer("good", instructions="Add with add.", log_level="CRITICAL", **options)
    log = log or Log()

    @server.tool(annotations=ToolAnnotations(title="Addition", read_only_hint=True))
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        log.calls.append("add")
        return a + b

    @server.tool()
    async def count(to: int, context: Context[Any, Any]) -> str:
        """Count and report."""
        for number in range(to):
            await context.report_progress(number + 1, to, f"at {number + 1}")
        return "counted"

    @server.tool()
    async def wait() -> str:
        """Wait for ever."""
        log.begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            log.cancelled.set()
        return "never"

    @server.tool()
    def fail() -> str:
        """Fail."""
        raise ValueError("secret")

    @server.tool(structured_output=False)
    def show() -> list[Any]:
        """Show a picture."""
        return ["a picture:", Image(data=PNG, format="png")]

    @server.tool()
    def greet(person: Annotated[Person, Resolve(who)]) -> str:
        """Greet whoever is there."""
        return f"Hello {person.name}, {person.age}."

    @server.tool()
    def recite(topic: str, made: Annotated[types.CreateMessageResult, Resolve(poem)]) -> str:
        """Recite a poem."""
        content = made.content
        return content.text if isinstance(content, types.TextContent) else "?"

    @server.tool()
    def where(roots: Annotated[types.ListRootsResult, Resolve(folders)]) -> str:
        """Say where we are."""
        return ", ".join(str(root.uri) for root in roots.roots)

    @server.tool()
    async def learn(name: str, context: Context[Any, Any]) -> str:
        """Learn a tool."""

        def learnt() -> str:
            return name

        server.add_tool(learnt, name=name, description="Learnt.")
        await context.notify_tools_changed()
        return "learnt"

    @server.prompt()
    def review(file: str) -> str:
        """Review a file."""
        return f"Review {file}, please."

    @server.resource("note://today", mime_type="text/plain")
    def today() -> str:
        """The note of the day."""
        return "Rain."

    return server
