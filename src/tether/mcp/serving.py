"""An agent as a server of the protocol, for other programs: over standard input and output, or as an ASGI application.

    server = mcp.serve(agent)
    anyio.run(server.stdio)          # or: uvicorn module:server

The tool `ask` continues a conversation: one for each session. In the era of 2026, whose HTTP knows no sessions, a call
names the conversation that an earlier result has named.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint
from attrs import define, field
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from mcp import MCPError, types
from tether.agent import Agent
from tether.approvals import approval, may_change
from tether.hooks import Invocation
from tether.limits import Limits
from tether.mcp.contents import as_call_result, as_content
from tether.mcp.jobs import Job, failed
from tether.mcp.one_call import OneCall
from tether.messages import Text, ToolResultMessage
from tether.result import RunResult
from tether.tools import Tool

__all__ = ("AgentServer", "serve")

_MOST_CONVERSATIONS: Final = 200
_SETTLING: Final = 5
"""Checkpoints that are left to a run to ask all that it asks at once."""
_ASK: Final = {
    "type": "object",
    "properties": {
        "request": {"type": "string", "description": "what to ask, with all it needs to know"},
        "conversation": {
            "type": "string",
            "description": "the conversation to go on with, as an earlier result names it",
        },
    },
    "required": ["request"],
    "additionalProperties": False,
}

Context = ServerRequestContext["_Desk", Any]
Answer = types.CallToolResult | types.InputRequiredResult


def serve(
    agent: Agent,
    *,
    tools: bool = False,
    ask_about: Callable[[Tool], bool] | None = may_change,
    description: str | None = None,
) -> "AgentServer":
    """Make a server of an agent.

    Args:
        agent: each conversation is one of an agent like it.
        tools: offer the agent's tools themselves instead of the agent.
        ask_about: the tools whose calls a person is asked about, through the client; None for none. Without a client
            that can ask, their calls are denied.
        description: what models read about the tool `ask`.

    Returns:
        The server: an ASGI application, with a method `stdio`.
    """
    return AgentServer(agent, tools, ask_about, description or f"Ask {agent.name}, an agent.")


@define(eq=False)
class AgentServer:
    """An agent as a server. Made by `serve`; an ASGI application whose endpoint is `/mcp`."""

    agent: Agent
    tools: bool
    ask_about: Callable[[Tool], bool] | None
    description: str
    _app: Any = field(default=None, init=False, repr=False)

    @property
    def server(self) -> "Server[Any]":
        """A server of the SDK, for a transport of its own."""
        return Server(
            self.agent.name,
            version=version("tether"),
            lifespan=self._lifespan,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )

    async def stdio(self) -> None:
        """Serve one client on standard input and output, until its end. What else is printed goes to standard error.

        Cancellation:
            Cancels what runs, and passes on.
        """
        server = self.server
        async with stdio_server() as (arriving, leaving):
            await server.run(arriving, leaving, server.create_initialization_options())

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Serve a client over HTTP; only requests to this machine's own names are answered."""
        if self._app is None or scope["type"] == "lifespan":  # each begins anew
            self._app = self.server.streamable_http_app()
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator["_Desk"]:
        async with anyio.create_task_group() as tasks:
            try:
                yield _Desk(tasks)
            finally:
                tasks.cancel_scope.cancel()

    async def _list_tools(self, _: Context, __: object) -> types.ListToolsResult:
        if self.tools:
            return types.ListToolsResult(tools=[_offered(tool) for tool in self.agent.tools])
        ask = types.Tool(name="ask", description=self.description, input_schema=_ASK)
        return types.ListToolsResult(tools=[ask])

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> Answer:
        desk = context.lifespan_context
        job = desk.taken_up(params)
        if job is None:
            made = self._tool_job(params) if self.tools else self._ask_job(context, params)
            if isinstance(made, types.CallToolResult):
                return made
            job = made
            job.can_ask = _can_ask(context)
            desk.tasks.start_soon(job.work)
        job.attended()
        try:
            return await _attended(job, context, desk)
        except anyio.get_cancelled_exc_class():
            job.scope.cancel()
            raise

    def _ask_job(
        self, context: Context, params: types.CallToolRequestParams
    ) -> Job | types.CallToolResult:
        if params.name != "ask":
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name!r}; there is: ask")
        arguments = params.arguments or {}
        request, named = arguments.get("request"), arguments.get("conversation")
        if not isinstance(request, str) or not request.strip():
            return failed("request must be a text: what to ask")
        desk = context.lifespan_context
        if named is not None and named not in desk.conversations:
            return failed("there is no such conversation; leave it out to begin a new one")
        key = named or _session_of(context) or uuid.uuid4().hex
        agent = desk.conversation(key, self.agent.copy)

        def answered(result: RunResult) -> types.CallToolResult:
            structured = {"conversation": key, "stop_reason": result.stop_reason}
            return types.CallToolResult(
                content=as_content(Text(text) for text in [result.text] if text),
                structured_content=structured,
                is_error=result.stop_reason == "error",
            )

        return self._job(agent, request, answered)

    def _tool_job(self, params: types.CallToolRequestParams) -> Job:
        names = [tool.name for tool in self.agent.tools]
        if params.name not in names:
            raise MCPError(
                types.INVALID_PARAMS,
                f"there is no tool {params.name!r}; there are: {', '.join(names)}",
            )
        model = OneCall(params.name, params.arguments or {})
        agent = self.agent.copy(model=model, limits=Limits(turns=1))

        def called(result: RunResult) -> types.CallToolResult:
            [message] = [one for one in result.messages if isinstance(one, ToolResultMessage)]
            return as_call_result(message)

        return self._job(agent, "Call it.", called)

    def _job(
        self, agent: Agent, prompt: str, done: Callable[[RunResult], types.CallToolResult]
    ) -> Job:
        job = Job(agent, prompt, done)

        async def ask(invocation: Invocation) -> Any:
            return await job.approve(invocation)

        if self.ask_about is not None:
            hook = approval(ask, tools=self.ask_about)
            agent.hooks.add("around_tool", hook, name="elicitation", depth=1000)
        return job


@define(eq=False)
class _Desk:
    """What one server holds: its conversations, and the jobs that wait for their clients."""

    tasks: anyio.abc.TaskGroup
    conversations: dict[str, Agent] = field(factory=dict)
    waiting: dict[str, Job] = field(factory=dict)

    def conversation(self, key: str, begin: Callable[[], Agent]) -> Agent:
        """Find a conversation, or begin it; the one that was used longest ago is forgotten where there are too many."""
        agent = self.conversations.pop(key, None) or begin()
        self.conversations[key] = agent
        for old in list(self.conversations):
            if len(self.conversations) <= _MOST_CONVERSATIONS:
                break
            if not self.conversations[old].state.running:
                del self.conversations[old]
        return agent

    def taken_up(self, params: types.CallToolRequestParams) -> Job | None:
        """Find the job that a call goes on with, and give it the answers.

        Raises:
            MCPError: there is no such job.
        """
        if params.request_state is None:
            return None
        job = self.waiting.pop(params.request_state, None)
        if job is None:
            raise MCPError(types.INVALID_PARAMS, "the call that asked is over; make it again")
        answers = params.input_responses or {}
        for key in [key for key, question in job.questions.items() if question.asked]:
            job.questions.pop(key).answer(answers.get(key))
        return job


async def _attended(job: Job, context: Context, desk: _Desk) -> Answer:
    """Wait for the end of a job, and report and ask on the way."""
    modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
    reported = 0
    asking: types.InputRequiredResult | None = None
    async with anyio.create_task_group() as tasks:
        while job.result is None and asking is None:
            news = job.news
            if job.steps > reported:
                reported = job.steps
                await context.session.report_progress(reported, None, job.note)
            elif unasked := [one for one in job.questions.values() if not one.asked]:
                if modern:
                    asking = await _asking(job, desk)
                    continue
                for question in unasked:
                    question.asked = True
                    tasks.start_soon(_ask_at_once, question, context)
            else:
                await news.wait()
        tasks.cancel_scope.cancel()
    return asking or job.result or failed("the call was cancelled")


async def _asking(job: Job, desk: _Desk) -> types.InputRequiredResult:
    """End a call in order to ask; the job waits for the next one."""
    for _ in range(_SETTLING):
        await checkpoint()
    requests: dict[str, Any] = {}
    for key, question in job.questions.items():
        question.asked = True
        requests[key] = question.request()
    job.left()
    desk.waiting = {token: one for token, one in desk.waiting.items() if one.result is None}
    desk.waiting[job.token] = job
    return types.InputRequiredResult(input_requests=requests, request_state=job.token)


async def _ask_at_once(question: Any, context: Context) -> None:
    request = question.request().params
    try:
        question.answer(
            await context.session.elicit_form(
                request.message, request.requested_schema, context.request_id
            )
        )
    except MCPError:
        question.answer(None)


def _can_ask(context: Context) -> bool:
    able = context.session.client_capabilities
    return able is not None and able.elicitation is not None


def _session_of(context: Context) -> str | None:
    """What the calls of one session have in common; None where there are no sessions."""
    if context.request is None:
        return "the one connection"
    session: str | None = context.request.headers.get("mcp-session-id")
    return None if session is None else f"session {session}"


def _offered(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=dict(tool.parameters),
        annotations=types.ToolAnnotations(
            read_only_hint=tool.read_only,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.idempotent,
        ),
    )
