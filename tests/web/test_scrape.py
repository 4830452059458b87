"""The metrics of a server: what they say, and who may read them."""

from typing import Any

import anyio
import pytest
from tests.web.asgi import opened

import tether
from tether.host import Conversation
from tether.testing import ScriptedModel

pytest.importorskip("prometheus_client", reason="needs prometheus-client")

from tether.metrics import Metrics
from tether.web import Tokens, app


def served(**options: Any) -> Any:
    def make_agent(_: Conversation) -> tether.Agent:
        return tether.Agent(ScriptedModel("Hello."), name="clerk")

    return app(make_agent, metrics=Metrics(), **options)


async def test_runs_and_viewers_of_conversations_are_counted() -> None:
    application = served()
    async with opened(application) as client:
        made = (await client.post("/api/conversations", json={})).json()["id"]
        talk = await application.state.site.host.conversation(made)
        talk.say("a secret")
        with anyio.fail_after(60):
            async for _, event in talk.follow():
                if isinstance(event, tether.AgentEnd):
                    told = (await client.get("/metrics")).text
                    break
        assert 'tether_runs_started_total{agent="clerk"} 1.0' in told
        assert "tether_viewers 1.0" in told
        assert "tether_event_loop_lag_seconds_bucket" in told
        assert made not in told
        assert "secret" not in told


async def test_there_are_none_where_they_are_not_wanted() -> None:
    async with opened(app(lambda _: tether.Agent())) as client:
        assert (await client.get("/metrics")).status_code == 404


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.0.0.1", {"host": "localhost:8765"}, 200),
        ("10.0.0.9", {}, 401),
        ("127.0.0.1", {"host": "chat.example.com"}, 401),
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.9"}, 401),
        ("127.0.0.1", {"sec-fetch-site": "cross-site"}, 403),
        ("127.0.0.1", {"host": "evil.example"}, 421),
    ],
)
async def test_this_machine_reads_them_and_others_show_who_they_are(
    address: str, headers: dict[str, str], status: int
) -> None:
    tokens = Tokens()
    application = served(authorise=tokens, hosts=["chat.example.com"])
    async with opened(application, address=address) as client:
        assert (await client.get("/metrics", headers=headers)).status_code == status
        if status == 401:
            shown = {**headers, "authorization": f"Bearer {tokens.bearer}"}
            assert (await client.get("/metrics", headers=shown)).status_code == 200
            assert (await client.post("/metrics", headers=headers)).status_code == 401


async def test_nothing_else_is_open_to_this_machine() -> None:
    async with opened(served(authorise=Tokens())) as client:
        for path in ("/api/conversations", "/api/info", "/metrics/", "/metrics/x"):
            assert (await client.get(path)).status_code == 401
