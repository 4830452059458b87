"""The native protocol: commands, the events of a conversation, and coming back to it."""

import base64
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, field
from starlette.applications import Starlette
from tests.short_form import short
from tests.web.asgi import Client, following, opened

import tether
import tether.replay
from tether.host import Conversation
from tether.testing import Pause, ScriptedModel, call, check_events
from tether.web import app, native

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@tether.tool
def look(at: str) -> str:
    """Look at something."""
    return f"{at} is fine"


def talking(*replies: Any, **options: Any) -> Starlette:
    """An application whose conversations all have the same script; their calls are asked about."""

    def make_agent(conversation: Conversation) -> tether.Agent:
        return tether.Agent(ScriptedModel(*replies), tools=[look], approve=conversation.approve)

    return app(make_agent, **options)


async def created(client: Any, **body: Any) -> str:
    answer = await client.post("/api/conversations", json=body)
    assert answer.status_code == 201
    return str(answer.json()["id"])


async def post(client: Any, id: str, what: str, /, **body: Any) -> Any:
    answer = await client.post(f"/api/conversations/{id}/{what}", json=body)
    assert answer.status_code < 400, answer.text
    return answer.json()


def others(events: Sequence[tether.Event]) -> list[tether.Event]:
    return [e for e in events if not isinstance(e, tether.MessageUpdate)]


def texts(events: Sequence[tether.Event]) -> str:
    return "".join(e.text for e in events if isinstance(e, tether.MessageUpdate))


async def test_what_is_said_starts_a_run_and_a_viewer_gets_its_events() -> None:
    site = talking("Hello, you.")
    async with opened(site) as client:
        id = await created(client)
        async with following(site, id) as viewer:
            said = await post(client, id, "say", text="hi")
            assert said["started"] is True
            await viewer.until_end()
        assert viewer.named("hello")[0]["state"] == "idle"
        assert texts(viewer.events) == "Hello, you."
        check_events(viewer.events)
        shown = (await client.get(f"/api/conversations/{id}")).json()
        assert [m["message"]["role"] for m in shown["messages"]] == ["user", "assistant"]
        assert shown["messages"][0]["entry"] == said["id"]
        assert (shown["state"], shown["title"], shown["waiting"]) == ("idle", "hi", [])
        assert f"{shown['epoch']}-{shown['number']}" != viewer.place


async def test_a_viewer_that_comes_back_gets_nothing_twice_and_misses_nothing() -> None:
    """Left after each event in turn, by Last-Event-ID and by the query."""
    site = talking("One two three four five six seven.")
    async with opened(site) as client:
        id = await created(client)
        await post(client, id, "say", text="hi")
        async with following(site, id) as whole:
            await whole.until_end()
        events, frames = whole.events, [f for f in whole.frames if "event" not in f]
        for place, frame in enumerate(frames[:-1]):
            ways: list[dict[str, Any]] = [
                {"after": frame["id"]},
                {"headers": {"last-event-id": frame["id"]}, "after": "0"},
            ]
            for way in ways:
                async with following(site, id, **way) as viewer:
                    await viewer.until_end()
                # Fragments that it has missed may come as one.
                rest = events[place + 1 :]
                assert texts(viewer.events) == texts(rest)
                assert others(viewer.events) == others(rest)
                assert viewer.place == whole.place
                assert not viewer.named("snapshot")


@pytest.mark.parametrize(
    "place", ["x-1", "no", "1", "-", "x-", "{epoch}-999", "{epoch}--1", "{epoch}-1e3"]
)
async def test_an_unknown_place_is_answered_with_a_snapshot(place: str) -> None:
    site = talking("Hello.", ["Again", Pause()])
    async with opened(site) as client:
        id = await created(client)
        await post(client, id, "say", text="hi")
        async with following(site, id) as whole:
            await whole.until_end()
            await post(client, id, "say", text="and?")
            await whole.until(lambda v: texts(v.events).endswith("Again"))
            epoch = whole.named("hello")[0]["epoch"]
            async with following(site, id, after=place.format(epoch=epoch)) as viewer:
                await viewer.until(lambda v: texts(v.events) == "Again")
            [snapshot] = viewer.named("snapshot")
            assert len(snapshot["messages"]) == 3
            await post(client, id, "abort")
            await whole.until_end(2)


async def test_two_viewers_see_the_same_and_one_answers_what_both_are_asked() -> None:
    site = talking([call("look", at="it")], "All is fine.")
    async with opened(site) as client:
        id = await created(client)
        async with following(site, id) as one, following(site, id) as other:
            await post(client, id, "say", text="look")
            await one.until(
                lambda v: v.named("changed")[-1:] and v.named("changed")[-1]["state"] == "waiting"
            )
            shown = (await client.get(f"/api/conversations/{id}")).json()
            [waiting] = shown["waiting"]
            assert (waiting["type"], waiting["name"]) == ("approval_requested", "look")
            await post(client, id, "answer", call_id=waiting["call_id"], verdict="once")
            again = await client.post(
                f"/api/conversations/{id}/answer",
                json={"call_id": waiting["call_id"], "verdict": "once"},
            )
            assert again.status_code == 404
            await one.until_end()
            await other.until_end()
        assert short(one.events) == short(other.events)  # who is late gets fragments in one piece
        assert texts(one.events) == "All is fine."
        check_events(one.events)


@define
class Stuck(Client):
    """A reader that takes a few pieces, and then none for a while."""

    goes_on: anyio.Event = field(factory=anyio.Event)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if len(self.messages) > 5:
            await self.goes_on.wait()


async def test_six_viewers_are_not_held_up_by_one_that_reads_nothing() -> None:
    """What it has missed it gets in short."""
    text = " ".join(f"word{n}" for n in range(100))
    site = talking(text)
    async with opened(site) as client, AsyncExitStack() as watching:
        id = await created(client)
        stuck = Stuck()
        slow = await watching.enter_async_context(following(site, id, client=stuck))
        others = [await watching.enter_async_context(following(site, id)) for _ in range(6)]
        await post(client, id, "say", text="go")
        for viewer in others:
            await viewer.until_end()
        assert len(stuck.messages) == 6
        stuck.goes_on.set()
        await slow.until_end()
        assert {texts(viewer.events) for viewer in (slow, *others)} == {text}
        assert len(slow.events) < len(others[0].events) / 2
        check_events(slow.events)


async def test_a_call_may_be_denied_with_a_reason() -> None:
    site = talking([call("look", at="it")], "Then not.")
    async with opened(site) as client:
        id = await created(client)
        async with following(site, id) as viewer:
            await post(client, id, "say", text="look")
            await viewer.until(
                lambda v: any(isinstance(e, tether.ApprovalRequested) for e in v.events)
            )
            [asked] = [e for e in viewer.events if isinstance(e, tether.ApprovalRequested)]
            await post(
                client, id, "answer", call_id=asked.call_id, verdict="denied", reason="later"
            )
            await viewer.until_end()
        [answered] = [e for e in viewer.events if isinstance(e, tether.ApprovalAnswered)]
        assert (answered.verdict, answered.reason) == ("denied", "later")


async def test_steering_interrupting_and_aborting() -> None:
    site = talking(["Well", Pause()], ["So", Pause()], "Then.", "Last.")
    async with opened(site) as client:
        id = await created(client)
        async with following(site, id) as viewer:
            await post(client, id, "say", text="go")
            await viewer.until(lambda v: texts(v.events) == "Well")
            steered = await post(client, id, "say", text="stop!", when="interrupt")
            assert steered["started"] is False
            await viewer.until(lambda v: texts(v.events) == "WellSo")
            await post(client, id, "say", text="and then?", when="follow_up")
            await post(client, id, "abort")
            await viewer.until_end()
            ended = [e for e in viewer.events if isinstance(e, tether.AgentEnd)]
            assert ended[0].stop_reason == "aborted"


async def test_a_title_is_given_and_viewers_hear_of_it() -> None:
    site = talking("Hello.")
    async with opened(site) as client:
        id = await created(client, title="First")
        async with following(site, id) as viewer:
            await viewer.until(lambda v: v.named("hello"))
            await post(client, id, "rename", title="Second")
            await viewer.until(lambda v: v.named("changed"))
            assert viewer.named("changed")[-1]["title"] == "Second"
        listed = (await client.get("/api/conversations")).json()
        assert [(c["id"], c["title"]) for c in listed["conversations"]] == [(id, "Second")]


async def test_what_changes_as_a_viewer_comes_is_told() -> None:
    site = talking("Hello.")
    async with opened(site) as client:
        id = await created(client, title="First")

        class Renaming(Client):
            async def send(self, message: Any) -> None:
                await super().send(message)
                if b"event: hello" in message.get("body", b""):
                    await post(client, id, "rename", title="Second")

        async with following(site, id, client=Renaming()) as viewer:
            await viewer.until(lambda v: v.named("changed"))
            assert viewer.named("changed")[-1]["title"] == "Second"


async def test_a_deleted_conversation_ends_its_viewers_and_is_gone() -> None:
    site = talking(["Well", Pause()])
    async with opened(site) as client:
        id = await created(client)
        await post(client, id, "say", text="go")
        async with following(site, id) as viewer:
            await viewer.until(lambda v: texts(v.events) == "Well")
            assert (await client.delete(f"/api/conversations/{id}")).status_code == 200
            await viewer.until(lambda v: v.named("deleted"))
            await viewer.until(lambda v: v.client.is_complete)
        gone = await client.get(f"/api/conversations/{id}")
        assert (gone.status_code, gone.json()["error"]["kind"]) == (404, "not_found")


async def test_a_fork_has_the_messages_up_to_a_place() -> None:
    site = talking("Hello.", "Bye.")
    async with opened(site) as client:
        id = await created(client)
        async with following(site, id) as viewer:
            said = await post(client, id, "say", text="hi")
            await viewer.until_end()
            second = await post(client, id, "say", text="bye")
            await viewer.until_end(2)
        whole = (await post(client, id, "fork", entry=second["id"]))["id"]
        edited = (await post(client, id, "fork", entry=second["id"], edit=True))["id"]
        nothing = (await post(client, id, "fork", entry=said["id"], edit=True))["id"]
        counts = []
        for made in (whole, edited, nothing):
            counts.append(len((await client.get(f"/api/conversations/{made}")).json()["messages"]))
        assert counts == [3, 2, 0]


async def test_conversations_are_listed_searched_and_paged() -> None:
    site = talking("Hello.")
    async with opened(site) as client:
        ids = [await created(client, title=f"Number {n}") for n in range(5)]
        first = (await client.get("/api/conversations", params={"limit": 3})).json()
        second = (
            await client.get("/api/conversations", params={"limit": 3, "before": first["next"]})
        ).json()
        listed = [c["id"] for c in (*first["conversations"], *second["conversations"])]
        assert listed == ids[::-1]
        assert second["next"] is None
        found = (await client.get("/api/conversations", params={"search": "number 3"})).json()
        assert [c["id"] for c in found["conversations"]] == [ids[3]]


async def test_a_conversation_that_another_program_writes_to_is_left_alone(tmp_path: Path) -> None:
    with tether.Session(tmp_path / "a.jsonl") as session:
        session.record(tether.UserMessage("hi"))
        async with opened(talking(store=tmp_path)) as client:
            for method in ("GET", "DELETE"):
                answer = await client.request(method, "/api/conversations/a")
                assert answer.status_code == 409
                assert answer.json()["error"]["kind"] == "busy"
    assert (tmp_path / "a.jsonl").exists()


WRONG_PAGES = {
    "none": "limit=0",
    "no number": "limit=x",
    "too many": "limit=99999",
    "too many behind zeros": "limit=00000000019999",
    "more digits than a number may have": f"limit=1{'9' * 5000}",
    "digits of another script": "limit=\uff15",
    "fewer than none": "limit=-1",
    "no cursor": "before=nonsense",
}


@pytest.mark.parametrize("query", WRONG_PAGES.values(), ids=list(WRONG_PAGES))
async def test_a_wrong_page_is_refused(query: str) -> None:
    async with opened(talking()) as client:
        answer = await client.get(f"/api/conversations?{query}")
        assert answer.status_code == 400
        assert answer.json()["error"]["kind"] == "bad_request"


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [("html", "<p>Hello.</p>"), ("markdown", "Hello."), ("jsonl", '"role":"assistant"')],
)
async def test_a_conversation_is_exported(wanted: str, holds: str) -> None:
    site = talking("Hello.")
    async with opened(site) as client:
        id = await created(client)
        async with following(site, id) as viewer:
            await post(client, id, "say", text="hi")
            await viewer.until_end()
        answer = await client.get(f"/api/conversations/{id}/export", params={"format": wanted})
        assert holds in answer.text
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["content-security-policy"]
        wrong = await client.get(f"/api/conversations/{id}/export?format=pdf")
        assert wrong.status_code == 400


async def test_a_file_is_uploaded_given_back_and_said() -> None:
    site = talking("A dot.")
    async with opened(site) as client:
        id = await created(client)
        sent = await client.post(
            f"/api/conversations/{id}/uploads?name=dot.png",
            content=PNG,
            headers={"content-type": "image/png"},
        )
        assert sent.status_code == 201
        upload = sent.json()
        assert (upload["media_type"], upload["name"], upload["size"]) == (
            "image/png",
            "dot.png",
            len(PNG),
        )
        got = await client.get(f"/api/conversations/{id}/uploads/{upload['id']}")
        assert got.content == PNG
        assert got.headers["x-content-type-options"] == "nosniff"
        async with following(site, id) as viewer:
            await post(client, id, "say", text="what?", uploads=[upload["id"]])
            await viewer.until_end()
        message = (await client.get(f"/api/conversations/{id}")).json()["messages"][0]["message"]
        assert [block["type"] for block in message["content"]] == ["text", "image"]
        again = await client.get(f"/api/conversations/{id}/uploads/{upload['id']}")
        assert again.status_code == 404


async def test_a_text_is_said_under_its_name_and_nonsense_is_refused() -> None:
    site = talking("I see.")
    async with opened(site) as client:
        id = await created(client)
        text = await client.post(f"/api/conversations/{id}/uploads?name=a.py", content=b"x = 1\n")
        assert text.json()["media_type"] == "text/plain"
        for data, status in ((b"", 400), (b"\0\1\2\3" * 9, 415)):
            wrong = await client.post(
                f"/api/conversations/{id}/uploads?name=x",
                content=data,
                headers={"content-type": "application/octet-stream"},
            )
            assert wrong.status_code == status
        async with following(site, id) as viewer:
            await post(client, id, "say", uploads=[text.json()["id"]])
            await viewer.until_end()
        shown = (await client.get(f"/api/conversations/{id}")).json()
        assert shown["messages"][0]["message"]["content"][0]["text"] == "a.py:\nx = 1\n"


BAD: dict[str, tuple[str, Any]] = {
    "no JSON": ("say", b"{"),
    "no object": ("say", b"[]"),
    "wrong type": ("say", {"text": 1}),
    "unknown field": ("say", {"text": "hi", "wen": "steer"}),
    "unknown word": ("say", {"text": "hi", "when": "now"}),
    "nothing to say": ("say", {"text": "  "}),
    "deep": ("say", b"[" * 100_000),
    "half a character": ("say", b'{"text": "\\ud800"}'),
    "bytes that are no text": ("say", b'{"text": "\xff"}'),
    "no field": ("answer", {"call_id": "x"}),
    "a reason to allow": ("answer", {"call_id": "x", "verdict": "once", "reason": "so"}),
    "title": ("rename", {"title": None}),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_body_is_refused_with_what_is_wrong(name: str) -> None:
    what, body = BAD[name]
    async with opened(talking("Hello.")) as client:
        id = await created(client)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await client.post(f"/api/conversations/{id}/{what}", content=content)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"]


async def test_what_is_not_there_is_said_to_be_so() -> None:
    async with opened(talking("Hello.")) as client:
        id = await created(client)
        for path, status in (
            (f"/api/conversations/{id}/cancel", 409),
            (f"/api/conversations/{id}/answer", 404),
            (f"/api/conversations/{id}/nonsense", 404),
            ("/api/conversations/x/say", 404),
        ):
            body = {"call_id": "x", "verdict": "once"} if "answer" in path else {"call_id": "x"}
            answer = await client.post(path, json=body)
            assert answer.status_code == status, path
            assert answer.json()["error"]["kind"]
        assert (await client.put("/api/info", json={})).status_code == 405


async def test_what_is_known_before_a_conversation() -> None:
    async with opened(talking(model="scripted")) as client:
        info = (await client.get("/api/info")).json()
        assert info["model"] == "scripted"
        assert "image/png" in info["accepts"]
        assert info["max_upload"] == 32 * 1024 * 1024


async def test_conversations_survive_a_restart_and_viewers_get_a_snapshot(tmp_path: Path) -> None:
    async with opened(talking("Hello.", store=tmp_path)) as client:
        site = client._transport.app  # type: ignore[attr-defined]
        id = await created(client)
        async with following(site, id) as viewer:
            await post(client, id, "say", text="hi")
            await viewer.until_end()
        place = viewer.place
    again = talking("And again.", store=tmp_path)
    async with opened(again) as client:
        async with following(again, id, after=place) as viewer:
            await viewer.until(lambda v: v.named("snapshot"))
            [snapshot] = viewer.named("snapshot")
            assert [m["message"]["role"] for m in snapshot["messages"]] == ["user", "assistant"]
            await post(client, id, "say", text="again")
            await viewer.until_end()
        assert texts(viewer.events) == "And again."


async def test_leaving_the_application_closes_streams_in_order_and_ends_runs() -> None:
    agents: list[tether.Agent] = []

    def make_agent(_: Conversation) -> tether.Agent:
        agents.append(tether.Agent(ScriptedModel(["Well", Pause()])))
        return agents[-1]

    site = app(make_agent)
    async with anyio.create_task_group() as tasks:
        ended = anyio.Event()

        async def watch(id: str) -> None:
            async with following(site, id) as viewer:
                await viewer.until(lambda v: texts(v.events) == "Well")
                left.set()
                await viewer.until(lambda v: v.client.is_complete)
            ended.set()

        left = anyio.Event()
        async with opened(site) as client:
            id = await created(client)
            await post(client, id, "say", text="go")
            tasks.start_soon(watch, id)
            await left.wait()
        await ended.wait()
    assert not agents[0].state.running


async def test_recordings_are_listed_and_read_by_those_whose_they_are(tmp_path: Path) -> None:
    site = talking(
        "The key is sk-1.",
        authorise=lambda request: request.headers.get("x-user"),
        record=tmp_path,
        secrets=iter(["sk-1"]),
    )
    async with opened(site) as client:
        client.headers["x-user"] = "ann"
        assert (await client.get("/api/recordings")).json() == {"recordings": [], "next": None}
        id = await created(client)
        await post(client, id, "say", text="What is the key?")
        with anyio.fail_after(60):
            while (await client.get(f"/api/conversations/{id}")).json()["state"] != "idle":
                await anyio.sleep(0.01)
        [listed] = (await client.get("/api/recordings")).json()["recordings"]
        address = f"/api/recordings/{listed['name']}"
        got = await client.get(address)
        assert got.status_code == 200
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in got.headers["content-security-policy"]
        assert len(got.content) == listed["size"]
        path = tmp_path / "copy.jsonl"
        path.write_bytes(got.content)
        [run] = tether.replay.read(path).runs
        assert run.prompts[0].text == "What is the key?"
        assert b"sk-1" not in got.content
        for name in ("none.jsonl", "..%2fcopy.jsonl", "copy.jsonl", "%00", "x" * 3000):
            assert (await client.get(f"/api/recordings/{name}")).status_code == 404, name
        client.headers["x-user"] = "bob"
        assert (await client.get("/api/recordings")).json() == {"recordings": [], "next": None}
        assert (await client.get(address)).status_code == 404
        del client.headers["x-user"]
        assert (await client.get("/api/recordings")).status_code == 401
        assert (await client.get(address)).status_code == 401


def test_what_can_be_no_secret_is_refused_at_once(tmp_path: Path) -> None:
    for options in ({"record": tmp_path, "secrets": ["rd"]}, {"secrets": ["sk-123456"]}):
        with pytest.raises(tether.UsageError, match="secrets"):
            talking("Hello", **options)


async def test_recordings_are_listed_page_by_page(tmp_path: Path) -> None:
    names = [f"20260101T00000{n}-a-0123456789ab.jsonl" for n in range(5)]
    for name in (*names, "other.jsonl"):
        (tmp_path / name).write_text("1")
    async with opened(talking("Hello", record=tmp_path)) as client:
        pages: list[list[str]] = []
        following: dict[str, str] | None = {}
        while following is not None:
            address = "/api/recordings"
            got = (await client.get(address, params={"limit": 2, **following})).json()
            pages.append([one["name"] for one in got["recordings"]])
            following = None if got["next"] is None else {"before": got["next"]}
        assert pages == [names[:2:-1], names[2:0:-1], names[:1]]
        for wrong in ({"limit": 0}, {"limit": 999}, {"before": "../x"}, {"before": "other.jsonl"}):
            assert (await client.get("/api/recordings", params=wrong)).status_code == 400, wrong


async def test_a_server_that_records_nothing_says_so() -> None:
    async with opened(talking("Hello")) as client:
        assert (await client.get("/api/recordings")).json() == {"recordings": [], "next": None}
        refused = await client.get("/api/recordings/20260101T000000-a-0123456789ab.jsonl")
        assert refused.status_code == 404
        assert "records nothing" in refused.json()["error"]["message"]


async def test_a_recording_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_LARGEST_RECORDING", 3)
    name = "20260101T000000-a-0123456789ab.jsonl"
    (tmp_path / name).write_text("1234")
    async with opened(talking("Hello", record=tmp_path)) as client:
        refused = await client.get(f"/api/recordings/{name}")
        assert refused.status_code == 413
        assert "tether replay" in refused.json()["error"]["message"]
