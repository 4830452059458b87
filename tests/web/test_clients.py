"""Clients that other people have written, on real servers: what a person sees who uses them."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
import anyio.to_thread
import openai
import pytest
from tests.web import clients
from tests.web.scripted_app import scripted_app
from tests.web.servers import GUARD, hypercorn, uvicorn

needs_clients = pytest.mark.skipif(
    clients.PACKAGES.why_missing() is not None, reason=clients.PACKAGES.why_missing() or ""
)


@pytest.fixture(params=["hypercorn-trio", "uvicorn-asyncio"])
def server(request: pytest.FixtureRequest) -> str:
    """A server, and the event loop that it runs on."""
    return str(request.param)


@pytest.fixture
def anyio_backend(server: str) -> str:
    return server.rpartition("-")[2]


@pytest.fixture
async def url(server: str) -> AsyncIterator[str]:
    serve = hypercorn if server.startswith("hypercorn") else uvicorn
    async with serve(scripted_app()) as url:
        yield url


@pytest.fixture(scope="module", autouse=True)
def _which(tell: Callable[[str], None]) -> None:
    """Say which clients are used."""
    pins = json.loads((clients.HERE / "package.json").read_text())["dependencies"]
    others = (
        why
        if (why := clients.PACKAGES.why_missing())
        else " ".join(f"{k} {v}" for k, v in pins.items())
    )
    tell(f"clients: openai {openai.__version__}; {others}")


async def seen_by(script: str, *arguments: str) -> Any:
    """Run a client to its end, and return what it has seen."""
    command = [
        clients.PACKAGES.node(),
        clients.HERE / script,
        clients.PACKAGES.folder(),
        *arguments,
    ]
    with anyio.fail_after(GUARD):
        done = await anyio.run_process(
            [str(word) for word in command], stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return json.loads(done.stdout)


# AG-UI.


@needs_clients
async def test_the_client_of_ag_ui(url: str) -> None:
    seen = await seen_by("ag_ui.mjs", url)
    _check_plain(seen["plain"])
    for name, result in {
        "approve": "deleted a.txt",
        "deny": "not now",
        "inner": "Inner done.",
    }.items():
        first, last = seen[name]["first"], seen[name]["last"]
        assert first["outcome"]["type"] == "interrupt"
        assert len(first["pending"]) == 1
        assert last["pending"] == []
        assert last["outcome"] == {"type": "success"}
        results = [m["content"] for m in last["messages"] if m["role"] == "tool"]
        assert any(result in text for text in results), results
        assert last["messages"][-1]["content"] == "Done."
        assert "MESSAGES_SNAPSHOT" not in last["runs"][1], "the client had all messages"
    assert "SUBAGENT_STARTED" in seen["inner"]["last"]["runs"][1]
    _check_that_nothing_is_double(seen["resume"])
    assert seen["stop"]["outcome"] == {"type": "cancelled"}
    assert seen["error"]["failure"] == "the model is overloaded"


def _check_plain(plain: Any) -> None:
    assert plain["outcome"] == {"type": "success"}
    assert [message["role"] for message in plain["messages"]] == [
        "user",
        "reasoning",
        "assistant",
        "assistant",
        "tool",
        "activity",
        "assistant",
        "user",
        "assistant",
    ]
    assert plain["messages"][-1]["content"] == "Still there."
    assert plain["messages"][4]["content"] == "saw a.txt"


def _check_that_nothing_is_double(resume: Any) -> None:
    assert resume["before"]["messages"][-1]["content"].startswith("The first")
    said = [m["content"] for m in resume["after"]["messages"]]
    assert said == ["Go.", "The first half, and the second."]


# The AI SDK.


@needs_clients
@pytest.mark.parametrize("version", [6, 7])
async def test_the_chat_of_the_ai_sdk(url: str, version: int) -> None:
    seen = await seen_by("vercel.mjs", url, str(version))
    assert seen["version"].startswith(f"{version}.")
    _check_ui_plain(seen["plain"])
    for name, state in {
        "approve": "output-available",
        "deny": "output-denied",
        "inner": "output-available",
    }.items():
        (_, first), (_, last) = seen[name]["first"]["messages"], seen[name]["last"]["messages"]
        assert first["id"] == last["id"]
        (asked,) = tools(first, "delete_file")
        (answered,) = tools(last, "delete_file")
        assert asked["state"] == "approval-requested"
        assert answered["state"] == state
        assert texts(last)[-1] == "Done."
    assert [tool["toolName"] for tool in tools(seen["inner"]["last"]["messages"][1])] == [
        "ask_helper",
        "delete_file",
    ]
    resume = seen["resume"]
    whole = ["The first half, and the second."]
    assert resume["before"].startswith("The first")
    assert [texts(message) for message in resume["after"]["messages"]] == [["Go."], whole]
    assert resume["other"]["messages"] == resume["after"]["messages"][1:]
    assert seen["stop"]["idle"] == 204
    assert texts(seen["stop"]["messages"][1])[0].startswith("The first")
    _check_steering(seen["steer"], version)
    assert seen["error"]["status"] == "error"
    assert "overloaded" in seen["error"]["error"]


def tools(message: Any, name: str | None = None) -> Sequence[Any]:
    parts = [part for part in message["parts"] if part["type"] == "dynamic-tool"]
    return [part for part in parts if name in {None, part["toolName"]}]


def texts(message: Any) -> list[str]:
    return [part["text"] for part in message["parts"] if part["type"] == "text"]


def _check_ui_plain(plain: Any) -> None:
    assert [message["role"] for message in plain["messages"]] == ["user", "assistant"] * 2
    assert [part["type"] for part in plain["messages"][1]["parts"]] == [
        "step-start",
        "reasoning",
        "text",
        "dynamic-tool",
        "step-start",
        "text",
    ]
    (tool,) = tools(plain["messages"][1])
    assert tool["output"] == "saw a.txt"
    assert "usage" in plain["messages"][1]["metadata"]
    assert texts(plain["messages"][3]) == ["Still there."]
    assert plain["status"] == "ready"


def _check_steering(steer: Any, version: int) -> None:
    kind = "steering-message" if version == 7 else "data-steering"
    for chat in (steer["one"], steer["two"]):
        message = chat["messages"][-1]
        kinds = [part["type"] for part in message["parts"]]
        assert kinds == ["step-start", "text", kind, "step-start", "text"]
        assert texts(message) == ["The first half, and the second.", "Faster now."]


# OpenAI.


async def test_the_sdk_of_openai(url: str) -> None:
    await anyio.to_thread.run_sync(_use_openai, f"{url}/v1")


def _use_openai(base_url: str) -> None:
    said: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}]
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=GUARD) as client:
        assert [model.id for model in client.models.list()] == ["tether"]
        whole = client.chat.completions.create(model="tether", messages=said)
        text = "Let me look.\n\nIt is there."
        assert whole.choices[0].message.content == text
        assert whole.choices[0].finish_reason == "stop"
        with client.chat.completions.create(
            model="tether", messages=said, stream=True, stream_options={"include_usage": True}
        ) as stream:
            chunks = list(stream)
        pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
        assert "".join(pieces) == text
        assert chunks[-1].usage is not None
        with pytest.raises(openai.NotFoundError, match="no model 'nope'"):
            client.chat.completions.create(model="nope", messages=said)
        with pytest.raises(openai.BadRequestError, match="tools"):
            client.chat.completions.create(model="tether", messages=said, tools=[_TOOL])


_TOOL: Any = {"type": "function", "function": {"name": "x", "parameters": {}}}
