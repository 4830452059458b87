"""What the endpoints take and refuse: nothing that a client sends is trusted."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from tests.web.asgi import opened
from tests.web.protocols.vercel_rules import UiMessage

import tether
from tether.host import Conversation
from tether.testing import Pause, ScriptedModel, call
from tether.web import app

PNG = "data:image/png;base64,iVBORw0KGgo="


@tether.tool
def delete(path: str) -> str:
    """Delete a file."""
    return f"deleted {path}"


class Site:
    """An application whose conversations all have the same script, and those it holds."""

    def __init__(self, *replies: Any, **options: Any) -> None:
        self.talks: dict[str, Conversation] = {}
        self.replies = replies
        self.app: Starlette = app(self._make_agent, **options)

    def _make_agent(self, talk: Conversation) -> tether.Agent:
        self.talks[talk.id] = talk
        return tether.Agent(ScriptedModel(*self.replies), tools=[delete], approve=talk.approve)


def chunks(answer: Any) -> list[dict[str, Any]]:
    """What a stream has told."""
    assert answer.status_code == 200, answer.text
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    return [json.loads(line) for line in lines if not line.startswith(":") and line != "[DONE]"]


def kinds(answer: Any) -> list[str]:
    return [chunk["type"] for chunk in chunks(answer)]


def ui(text: str, id: str = "u1") -> dict[str, Any]:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}


def ui_answers(**approvals: bool) -> dict[str, Any]:
    parts = [
        {
            "type": "dynamic-tool",
            "state": "approval-responded",
            "approval": {"id": i, "approved": a},
        }
        for i, a in approvals.items()
    ]
    return {"id": "a1", "role": "assistant", "parts": parts}


async def vercel(client: Any, *messages: Any, id: str = "t", **more: Any) -> Any:
    return await client.post("/vercel", json={"id": id, "messages": messages, **more})


async def ag_ui(client: Any, *messages: Any, **more: Any) -> Any:
    told = [{"id": f"u{i}", "role": "user", "content": m} for i, m in enumerate(messages)]
    body = {"threadId": "t", "runId": "r", "messages": told, **more}
    return await client.post("/ag-ui", json=body)


async def completion(client: Any, *messages: Any, **more: Any) -> Any:
    said = [{"role": "user", "content": message} for message in messages]
    body = {"model": "tether", "messages": said, **more}
    return await client.post("/v1/chat/completions", json=body)


# What is refused, and why.

REFUSED: list[Any] = [
    ("/vercel", [], "Expected"),
    ("/vercel", {"id": "t"}, "messages"),
    ("/vercel", {"id": 1, "messages": []}, "$.id"),
    ("/vercel", {"id": "", "messages": [ui("x")]}, "id"),
    ("/vercel", {"id": "x" * 1000, "messages": [ui("x")]}, "id"),
    ("/vercel", {"id": "t", "messages": []}, "$.messages"),
    (
        "/vercel",
        {"id": "t", "messages": [{"role": "user", "parts": [{"type": 1}]}]},
        "parts[0].type",
    ),
    ("/vercel", {"id": "t", "messages": [{"role": "system", "parts": []}]}, "$.messages[0].role"),
    ("/vercel", {"id": "t", "messages": [ui("  ")]}, "nothing to say"),
    ("/vercel", {"id": "t", "messages": [ui_answers()]}, "approvals"),
    ("/vercel?sdk=5", {"id": "t", "messages": [ui("x")]}, "sdk is 6 or 7"),
    ("/ag-ui", {"threadId": "t", "runId": "r"}, "messages"),
    (
        "/ag-ui",
        {"threadId": "t", "runId": "r", "messages": [{"id": "u", "role": "user"}]},
        "$.messages[0].content",
    ),
    (
        "/ag-ui",
        {
            "threadId": "t",
            "runId": "r",
            "messages": [{"id": "u", "role": "user", "content": [{"type": "smell"}]}],
        },
        "smell",
    ),
    (
        "/ag-ui",
        {
            "threadId": "t",
            "runId": "r",
            "messages": [],
            "resume": [{"interruptId": "i", "status": "resolved", "payload": "yes"}],
        },
        "$.resume[0].payload",
    ),
    (
        "/ag-ui",
        {
            "threadId": "t",
            "runId": "r",
            "messages": [],
            "resume": [
                {
                    "interruptId": "i",
                    "status": "resolved",
                    "payload": {"approved": True, "editedArgs": {}},
                }
            ],
        },
        "editedArgs",
    ),
    (
        "/ag-ui",
        {
            "threadId": "t",
            "runId": "r",
            "messages": [],
            "resume": [{"interruptId": "i", "status": "maybe"}],
        },
        "status",
    ),
    ("/v1/chat/completions", {"model": "tether"}, "messages"),
    ("/v1/chat/completions", {"model": "tether", "messages": []}, "messages"),
    (
        "/v1/chat/completions",
        {"model": "tether", "messages": [{"role": "robot", "content": "x"}]},
        "messages[0].role",
    ),
    (
        "/v1/chat/completions",
        {"model": "tether", "n": 2, "messages": [{"role": "user", "content": "x"}]},
        "n:",
    ),
    (
        "/v1/chat/completions",
        {"model": "tether", "tools": [{}], "messages": [{"role": "user", "content": "x"}]},
        "tools",
    ),
    (
        "/v1/chat/completions",
        {
            "model": "tether",
            "response_format": {"type": "json_object"},
            "messages": [{"role": "user", "content": "x"}],
        },
        "response_format",
    ),
]


async def test_a_request_that_cannot_be_is_refused_by_the_name_of_what_is_wrong() -> None:
    site = Site("Hello.")
    async with opened(site.app) as client:
        for path, body, named in REFUSED:
            answer = await client.post(path, json=body)
            assert answer.status_code == 400, (body, answer.text)
            assert named in answer.json()["error"]["message"]
        assert all(talk.state == "idle" and not talk.number for talk in site.talks.values())


FILES: list[Any] = [
    ("file:///etc/passwd", "data: (base64), https://"),
    ("gs://bucket/secret", "data: (base64), https://"),
    ("s3://bucket/secret", "data: (base64), https://"),
    ("javascript:alert(1)", "data: (base64), https://"),
    ("data:image/png;base64,????", "base64"),
    ("", "data: (base64), https://"),
]


async def test_the_address_of_a_file_leads_to_its_bytes_or_to_the_web() -> None:
    """Other addresses are read with the rights of the server."""
    async with opened(Site("Hello.").app) as client:
        for url, named in FILES:
            part = {"type": "file", "mediaType": "image/png", "url": url}
            source: Any = {"type": "url", "value": url, "mimeType": "image/png"}
            for answer in (
                await vercel(client, {"id": "u1", "role": "user", "parts": [part]}),
                await completion(client, [{"type": "image_url", "image_url": {"url": url}}]),
                await ag_ui(client, [{"type": "image", "source": source}]),
            ):
                assert answer.status_code == 400, (url, answer.text)
                assert named in answer.json()["error"]["message"]


async def test_a_picture_reaches_the_model() -> None:
    site = Site("A picture.")
    part = {"type": "file", "mediaType": "image/png", "url": PNG, "filename": "a.png"}
    async with opened(site.app) as client:
        await vercel(
            client, {"id": "u1", "role": "user", "parts": [part, {"type": "text", "text": "What?"}]}
        )
        image, text = site.talks["t"].agent.messages[0].content  # type: ignore[union-attr]
        assert isinstance(image, tether.Image)
        assert image.media_type == "image/png"
        assert text == tether.Text("What?")


VALID: list[tuple[str, Any]] = [
    ("/vercel", {"id": "t", "messages": [ui("x"), ui_answers(i=True)], "messageId": "u1"}),
    (
        "/ag-ui",
        {
            "threadId": "t",
            "runId": "r",
            "messages": [{"id": "u", "role": "user", "content": [{"type": "text", "text": "x"}]}],
            "resume": [{"interruptId": "i", "status": "resolved", "payload": {"approved": True}}],
        },
    ),
    (
        "/v1/chat/completions",
        {
            "model": "tether",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
]
JUNK: list[Any] = [None, 1e300, "", "\ud800", [None], {"type": None}]


def broken(value: Any) -> Iterator[Any]:
    """Everything that comes of a value by putting junk in one place."""
    yield from JUNK
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        for other in broken(item):
            copy = value.copy()
            copy[key] = other
            yield copy


@pytest.mark.parametrize(("path", "valid"), VALID)
async def test_no_body_is_a_fault_of_the_server(path: str, valid: Any) -> None:
    site = Site(*["Hello."] * 500)
    async with opened(site.app) as client:
        for body in broken(valid):
            answer = await client.post(path, content=json.dumps(body))
            assert answer.status_code in {200, 400, 404, 409}, (body, answer.text)
            assert answer.status_code == 200 or answer.json()["error"]["message"]
        await vercel(client, ui("still there?", "last"))


async def test_a_body_nested_without_end_is_refused() -> None:
    async with opened(Site("Hello.").app) as client:
        for path in ("/vercel", "/ag-ui", "/v1/chat/completions"):
            answer = await client.post(path, content=b"[" * 100_000)
            assert answer.status_code == 400


# What is said twice, too late, or to nobody.


async def test_a_request_that_was_sent_again_does_nothing_twice() -> None:
    """Networks lose answers, and clients try again."""
    site = Site("Hello.", "Never.")
    async with opened(site.app) as client:
        first = await vercel(client, ui("hi"))
        again = await vercel(client, ui("hi"))
        assert chunks(first)[0] == chunks(again)[0]
        assert [m.text for m in site.talks["t"].agent.messages] == ["hi", "Hello."]


async def test_a_message_cannot_be_said_anew() -> None:
    site = Site("Hello.", "Bye.")
    async with opened(site.app) as client:
        await vercel(client, ui("hi"))
        await vercel(client, ui("hi"), ui("bye", "u2"))
        for more in ({"trigger": "regenerate-message"}, {"messageId": "u1"}, {}):
            answer = await vercel(client, ui("hi"), **more)
            assert answer.status_code == 409
            assert "fork" in answer.json()["error"]["message"]


async def test_an_answer_to_what_nobody_asked_is_refused() -> None:
    site = Site(call("delete", path="a"), "Done.")
    async with opened(site.app) as client:
        await vercel(client, ui("go"))
        answer = await vercel(client, ui_answers(nothing=True))
        assert answer.status_code == 409
        assert "nothing" in answer.json()["error"]["message"]
        resume = [{"interruptId": "nothing", "status": "cancelled"}]
        assert (await ag_ui(client, resume=resume)).status_code == 409
        assert len(site.talks["t"].waiting) == 1


async def test_the_second_of_two_answers_is_told_what_came_of_the_first() -> None:
    """Two pages show the question; somebody answers in each."""
    site = Site(call("delete", path="a"), "Done.")
    async with opened(site.app) as client:
        asked = chunks(await vercel(client, ui("go")))
        (id_,) = (c["approvalId"] for c in asked if c["type"] == "tool-approval-request")
        yes = await vercel(client, ui_answers(**{id_: True}))
        no = await vercel(client, ui_answers(**{id_: False}))
        assert kinds(yes) == kinds(no)
        assert "tool-output-available" in kinds(no)


async def test_who_says_something_else_denies_what_waits() -> None:
    site = Site(call("delete", path="a"), "Left it.")
    async with opened(site.app) as client:
        await vercel(client, ui("go"))
        answer = await vercel(client, ui("stop that", "u2"))
        assert "Left it." in "".join(c.get("delta", "") for c in chunks(answer))
        result = site.talks["t"].agent.messages[2]
        assert isinstance(result, tether.ToolResultMessage)
        assert result.outcome == "denied"


async def test_an_interrupt_that_is_cancelled_is_denied() -> None:
    site = Site(call("delete", path="a"), "Left it.")
    async with opened(site.app) as client:
        *_, end = chunks(await ag_ui(client, "go"))
        (interrupt,) = end["outcome"]["interrupts"]
        resume = [{"interruptId": interrupt["id"], "status": "cancelled"}]
        told = chunks(await ag_ui(client, "go", resume=resume))
        (result,) = (e for e in told if e["type"] == "TOOL_CALL_RESULT")
        assert result["metadata"] == {"outcome": "denied"}


async def test_always_covers_later_calls_of_the_tool() -> None:
    site = Site(call("delete", path="a"), call("delete", path="b"), "Done.")
    async with opened(site.app) as client:
        *_, end = chunks(await ag_ui(client, "go"))
        (interrupt,) = end["outcome"]["interrupts"]
        payload = {"approved": True, "always": True}
        resume = [{"interruptId": interrupt["id"], "status": "resolved", "payload": payload}]
        *_, end = chunks(await ag_ui(client, "go", resume=resume))
        assert end["outcome"] == {"type": "success"}


async def test_one_of_two_questions_may_be_answered_first() -> None:
    site = Site([call("delete", path="a"), call("delete", path="b")], "Done.")
    async with opened(site.app) as client:
        *_, end = chunks(await ag_ui(client, "go"))
        one, two = end["outcome"]["interrupts"]
        for asked, left in ((one, [two]), (two, [])):
            resume = [{"interruptId": asked["id"], "status": "resolved", "payload": True}]
            *_, end = chunks(await ag_ui(client, "go", resume=resume))
            assert end["outcome"].get("interrupts", []) == left


# OpenAI: what would be asked is denied, and nothing is left.


async def test_nobody_can_be_asked_in_a_completion() -> None:
    site = Site(call("delete", path="a"), "I may not.")
    async with opened(site.app) as client:
        answer = await completion(client, "delete it")
        assert answer.json()["choices"][0]["message"]["content"] == "I may not."
        (talk,) = site.talks.values()
        assert talk.ended == "deleted"
        assert (await client.get("/api/conversations")).json()["conversations"] == []


async def test_the_history_comes_with_the_request(tmp_path: Any) -> None:
    site = Site("Yes.", store=tmp_path)
    history: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One."},
        {"role": "assistant", "content": "Two."},
        {"role": "tool", "tool_call_id": "x", "content": "of the client"},
        {"role": "user", "content": [{"type": "text", "text": "Three?"}]},
    ]
    async with opened(site.app) as client:
        body = {"model": "tether", "messages": history}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        (talk,) = site.talks.values()
        texts = [message.text for message in talk.agent.messages]
        assert texts == ["Be brief.", "One.", "Two.", "Three?", "Yes."]
        assert list(tmp_path.rglob("*.jsonl")) == [], "nothing is kept"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_word_has_a_status(stream: bool) -> None:
    site = Site(tether.ModelError("too many requests", kind="invalid_request"))
    async with opened(site.app) as client:
        answer = await completion(client, "hi", stream=stream)
        assert answer.status_code == 502
        assert answer.json()["error"]["message"] == "too many requests"


async def test_a_failure_behind_it_is_an_error_in_the_stream() -> None:
    site = Site(["Hal", tether.ModelError("it broke", kind="server")])
    async with opened(site.app) as client:
        answer = await completion(client, "hi", stream=True)
        assert chunks_of_completion(answer)[-1]["error"]["message"] == "it broke"


def chunks_of_completion(answer: Any) -> Sequence[Any]:
    lines = [line for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


# Runs that outlive their readers.


async def test_stop_ends_a_run_and_what_is_said_next_is_answered_by_itself() -> None:
    waits = anyio.Event()
    site = Site(["Half", Pause(reached=waits)], "Whole.")
    async with opened(site.app) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(vercel, client, ui("go"))
        await waits.wait()
        assert (await client.post("/vercel/t/stop", json={})).status_code == 200
        told = chunks(await vercel(client, ui("again", "u2")))
        assert told[0]["messageId"] == "u2.reply"
        assert "".join(c.get("delta", "") for c in told) == "Whole."
        assert told[-1]["type"] == "finish"


async def test_a_page_that_is_loaded_again_begins_with_what_the_stream_has_told() -> None:
    """Part for part; the message that is being made comes with the stream that is resumed."""
    waits = anyio.Event()
    first = [tether.Thinking("Hm."), "Let me.", call("delete", path="a")]
    site = Site(first, "Done.", ["Half", Pause(reached=waits)])
    async with opened(site.app) as client:
        asked = chunks(await vercel(client, ui("go")))
        waiting = (await client.get("/vercel/t/messages")).json()
        assert [message["role"] for message in waiting] == ["user"]
        (id_,) = (c["approvalId"] for c in asked if c["type"] == "tool-approval-request")
        rest = chunks(await vercel(client, ui_answers(**{id_: True})))
        message = UiMessage()
        message.read(asked, version=6)
        message.read(rest, version=6)
        said, loaded = (await client.get("/vercel/t/messages")).json()
        assert said["parts"] == ui("go")["parts"]
        assert loaded["id"] == message.id
        assert len(loaded["parts"]) == len(message.parts)
        for part, shown in zip(loaded["parts"], message.parts, strict=True):
            names = {"type", "text", "toolCallId", "toolName", "state", "input", "output"}
            assert {k: v for k, v in part.items() if k in names - {"state"}} == {
                k: v for k, v in shown.items() if k in names - {"state"}
            }
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(vercel, client, ui("more", "u2"))
            await waits.wait()
            assert len((await client.get("/vercel/t/messages")).json()) == 3
            await client.post("/vercel/t/stop", json={})
        assert len((await client.get("/vercel/t/messages")).json()) == 4


@pytest.mark.parametrize("path", ["/vercel/nobody/stop", "/ag-ui/nobody/stop"])
async def test_what_is_not_there_cannot_be_stopped(path: str) -> None:
    async with opened(Site("Hello.").app) as client:
        assert (await client.post(path, json={})).status_code == 404
        assert (await client.get("/vercel/nobody/stream")).status_code == 204
