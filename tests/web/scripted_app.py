"""The application that clients of others talk to: what its agent says depends on the name of the conversation."""

from collections.abc import Callable, Sequence
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import tether
from tether import TextDelta
from tether.approvals import approval
from tether.host import Conversation
from tether.testing import Pause, ScriptedModel, call
from tether.web import app

__all__ = ("scripted_app",)


@tether.tool
async def delete_file(path: str) -> str:
    """Delete a file: what a person has to allow."""
    return f"deleted {path}"


@tether.tool
async def look(path: str, context: tether.ToolContext[Any]) -> str:
    """Look at a file."""
    await context.update("looking")
    return f"saw {path}"


def scripted_app() -> Starlette:
    """Make the application. `POST /release/{id}` lets the reply of a conversation go on from where it waits."""
    released: dict[str, anyio.Event] = {}
    held: dict[str, Conversation] = {}

    def make_agent(talk: Conversation) -> tether.Agent:
        held[talk.id] = talk
        released[talk.id] = anyio.Event()
        script = _SCRIPTS.get(talk.id, _plain)(released[talk.id])
        tools = [delete_file, look]
        if talk.id == "inner":
            model = ScriptedModel(["Let me.", call("delete_file", path="a.txt")], "Inner done.")
            inner = tether.Agent(model, tools=tools, name="helper")
            inner.around_tool(_ask_about_deleting(talk))
            tools.append(inner.as_tool("ask_helper", "Ask a helper."))
        agent = tether.Agent(ScriptedModel(*script), tools=tools)
        agent.around_tool(_ask_about_deleting(talk))
        return agent

    async def release(request: Request) -> Response:
        released[request.path_params["id"]].set()
        return Response()

    async def queued(request: Request) -> Response:
        return Response(status_code=200 if held[request.path_params["id"]].queued else 404)

    made = app(make_agent)
    made.router.routes += [
        Route("/release/{id}", release, methods=["POST"]),
        Route("/queued/{id}", queued),
    ]
    return made


def _ask_about_deleting(talk: Conversation) -> Any:
    return approval(talk.approve, tools=["delete_file"])


def _plain(_: anyio.Event) -> Sequence[Any]:
    return [
        [tether.Thinking("Hm."), "Let me look.", call("look", path="a.txt")],
        "It is there.",
        "Still there.",
    ]


def _asks(_: anyio.Event) -> Sequence[Any]:
    calls = [call("delete_file", path="a.txt"), call("look", path="b.txt")]
    return [["Let me.", *calls], "Done."]


def _waits(released: anyio.Event) -> Sequence[Any]:
    whole = [TextDelta("The first half, "), Pause(released), TextDelta("and the second.")]
    return [whole, "Faster now."]


def _asks_a_helper(_: anyio.Event) -> Sequence[Any]:
    return [call("ask_helper", request="Delete it."), "Done."]


def _fails(_: anyio.Event) -> Sequence[Any]:
    return [["Hal", tether.ModelError("the model is overloaded", kind="overloaded")]]


_SCRIPTS: dict[str, Callable[[anyio.Event], Sequence[Any]]] = {
    "approve": _asks,
    "deny": _asks,
    "inner": _asks_a_helper,
    "resume": _waits,
    "stop": _waits,
    "steer": _waits,
    "error": _fails,
}
