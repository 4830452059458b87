"""An editor in this process: it says what it is told to say, and keeps what it is told."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, TaskGroup
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field

from tether import Agent
from tether.acp import serve
from tether.acp.connection import Connection, serve_connection
from tether.acp.jsonrpc import RpcError
from tether.host import Conversation
from tether.testing import Reply, ScriptedModel
from tether.toolbox import coding_tools

__all__ = ("Editor", "editing", "scripted")


class _Bytes(ByteReceiveStream):
    def __init__(self, stream: MemoryObjectReceiveStream[bytes]) -> None:
        self._stream = stream

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.receive()

    async def aclose(self) -> None:
        self._stream.close()


class _Sink(ByteSendStream):
    def __init__(self, stream: MemoryObjectSendStream[bytes]) -> None:
        self._stream = stream

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def aclose(self) -> None:
        self._stream.close()


@define
class Editor:
    """What the editor was told; and how it answers."""

    updates: list[dict[str, Any]] = field(factory=list)
    asked: list[dict[str, Any]] = field(factory=list)
    answer: Callable[[dict[str, Any]], Awaitable[Any]] | None = None
    """Answers a request of the agent, given its method and params."""
    _connection: list[Connection] = field(factory=list)

    async def request(self, method: str, **params: Any) -> Any:
        return await self._connection[0].request(method, params)

    async def notify(self, method: str, **params: Any) -> None:
        await self._connection[0].notify(method, params)

    async def prompt(self, session: str, text: str) -> str:
        prompt = [{"type": "text", "text": text}]
        answer = await self.request("session/prompt", sessionId=session, prompt=prompt)
        reason: str = answer["stopReason"]
        return reason

    async def new(self, folder: Path, **params: Any) -> str:
        await self.request("initialize", protocolVersion=1, clientCapabilities={})
        made = await self.request("session/new", cwd=str(folder), mcpServers=[], **params)
        session: str = made["sessionId"]
        return session

    def texts(self, kind: str = "agent_message_chunk") -> str:
        chunks = [one for one in self.updates if one["sessionUpdate"] == kind]
        return "".join(one["content"]["text"] for one in chunks)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.updates if one["sessionUpdate"] == kind]

    def handlers(self, connection: Connection, _tasks: TaskGroup) -> Mapping[str, Any]:
        self._connection.append(connection)

        async def update(params: Any) -> None:
            self.updates.append(params["update"])

        def answered(method: str) -> Callable[[Any], Awaitable[Any]]:
            async def handler(params: Any) -> Any:
                self.asked.append({"method": method, **params})
                if self.answer is None:
                    raise RpcError(-32601, "not here")
                return await self.answer(self.asked[-1])

            return handler

        methods = ("session/request_permission", "fs/read_text_file", "fs/write_text_file")
        return {"session/update": update, **{method: answered(method) for method in methods}}


@asynccontextmanager
async def editing(make_agent: Any, **options: Any) -> AsyncIterator[Editor]:
    """An editor that is connected to an agent; leaving the block closes its end."""
    to_agent, agent_in = anyio.create_memory_object_stream[bytes](100)
    to_editor, editor_in = anyio.create_memory_object_stream[bytes](100)
    editor = Editor()
    try:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_serve, _Bytes(agent_in), _Sink(to_editor), make_agent, options)
                tasks.start_soon(_connect, editor, _Bytes(editor_in), _Sink(to_agent))
                while not editor._connection:
                    await checkpoint()
                yield editor
                to_agent.close()
    finally:
        for stream in (to_agent, agent_in, to_editor, editor_in):
            stream.close()


async def _serve(source: Any, output: Any, make_agent: Any, options: Any) -> None:
    await serve(source, output, make_agent, **options)
    await output.aclose()


async def _connect(editor: Editor, source: Any, output: Any) -> None:
    await serve_connection(source, output, editor.handlers)


def scripted(*replies: Reply, **options: Any) -> Callable[[Conversation, Path], Agent]:
    def make(talk: Conversation, folder: Path) -> Agent:
        model = ScriptedModel(*replies)
        return Agent(model, tools=coding_tools(folder), approve=talk.approve, **options)

    return make
