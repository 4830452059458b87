"""What is let in, and what a user sees of another's: nothing, on any route."""

import re
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from attrs import define
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount, Route
from tests.web.asgi import Client, following, opened, scope_of

import tether
from tether.host import Conversation
from tether.testing import Pause, ScriptedModel
from tether.web import Bounds, Tokens, app
from tether.web.rates import Rate, Rates

ATTACKS: dict[str, tuple[dict[str, str], int]] = {
    "another name": ({"host": "evil.example"}, 421),
    "a name that begins like ours": ({"host": "localhost.evil.example"}, 421),
    "an address that is not ours": ({"host": "10.0.0.9"}, 421),
    "no name": ({"host": ""}, 421),
    "a name with a user": ({"host": "localhost@evil.example"}, 421),
    "a port that is none": ({"host": "localhost:port"}, 421),
    "another site": ({"origin": "https://evil.example"}, 403),
    "another port of this machine": ({"origin": "http://127.0.0.1:3000"}, 403),
    "a page without an origin": ({"origin": "null"}, 403),
    "an origin that is none": ({"origin": "http://["}, 403),
    "an origin with more behind it": ({"origin": "http://127.0.0.1/http://evil.example"}, 403),
    "another site, by its metadata": ({"sec-fetch-site": "cross-site"}, 403),
    "another port, by its metadata": ({"sec-fetch-site": "same-site"}, 403),
    "a form": ({"content-type": "application/x-www-form-urlencoded"}, 415),
    "text": ({"content-type": "text/plain"}, 415),
    "text that looks like JSON": ({"content-type": "text/plain; application/json"}, 415),
    "nothing that says what it is": ({"content-type": ""}, 415),
    "too much": ({"content-length": "99999999999"}, 413),
    "a length that is none": ({"content-length": "-1"}, 413),
}

FINE: dict[str, dict[str, str]] = {
    "by name": {"host": "localhost:8765", "origin": "http://localhost:8765"},
    "by address": {"host": "127.0.0.1:8765", "origin": "http://127.0.0.1:8765"},
    "by address of the other kind": {"host": "[::1]:8765", "origin": "http://[::1]:8765"},
    "behind a proxy with TLS": {"host": "localhost", "origin": "https://localhost"},
    "of the page": {"sec-fetch-site": "same-origin"},
    "of the address bar": {"sec-fetch-site": "none"},
    "with a character set": {"content-type": "application/json; charset=utf-8"},
}


def talking(*replies: Any, **options: Any) -> Starlette:
    def make_agent(_: Conversation) -> tether.Agent:
        return tether.Agent(ScriptedModel(*replies))

    return app(make_agent, **options)


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_request_from_elsewhere_is_refused_and_does_nothing(name: str) -> None:
    headers, status = ATTACKS[name]
    async with opened(talking()) as client:
        answer = await client.post("/api/conversations", content=b"{}", headers=headers)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await client.get("/api/conversations")).json()["conversations"] == []


@pytest.mark.parametrize("name", FINE)
async def test_a_request_of_its_own_page_is_let_in(name: str) -> None:
    async with opened(talking()) as client:
        answer = await client.post("/api/conversations", content=b"{}", headers=FINE[name])
        assert answer.status_code == 201


async def test_a_site_that_is_named_may_ask_and_another_may_not() -> None:
    async with opened(talking(origins=["http://localhost:3000"])) as client:
        for origin, status in (("http://localhost:3000", 201), ("http://localhost:3001", 403)):
            headers = {"origin": origin, "sec-fetch-site": "same-site"}
            answer = await client.post("/api/conversations", content=b"{}", headers=headers)
            assert answer.status_code == status
            allowed = answer.headers.get("access-control-allow-origin")
            assert allowed == (origin if status == 201 else None)
        asked = await client.options(
            "/api/conversations",
            headers={
                "origin": "http://localhost:3000",
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type",
            },
        )
        assert asked.status_code == 200


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("10.0.0.7", {}, 403),
        ("", {}, 403),
        ("127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, 403),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1, 203.0.113.9"}, 403),
        ("::1", {"x-real-ip": "203.0.113.9"}, 403),
        ("127.0.0.1", {"forwarded": "for=203.0.113.9"}, 403),
        ("127.0.0.1", {"x-forwarded-for": "::1, 127.0.0.1"}, 200),
        ("::ffff:127.0.0.1", {"x-forwarded-for": "::ffff:127.0.0.1"}, 200),
    ],
)
async def test_without_authorise_other_machines_are_refused(
    address: str, headers: dict[str, str], status: int
) -> None:
    async with opened(talking(), address=address) as client:
        answer = await client.get("/api/info", headers=headers)
        assert answer.status_code == status
        assert ("authorise=" in answer.text) == (status == 403)


def test_names_for_others_need_to_say_who_may() -> None:
    with pytest.raises(tether.UsageError, match="authorise="):
        talking(hosts=["chat.example.com"])


@pytest.mark.parametrize(
    "options",
    [
        {"hosts": "chat.example.com"},
        {"hosts": ["https://chat.example.com"]},
        {"hosts": ["chat.example.com:8443"]},
        {"hosts": ["*"], "origins": ["*"]},
        {"hosts": [None]},
        {"origins": "http://localhost:3000"},
        {"origins": ["http://localhost:3000/"]},
        {"origins": ["localhost:3000"]},
        {"origins": ["null"]},
    ],
)
def test_names_that_would_let_in_others_or_nobody_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(tether.UsageError, match=r"(hosts|origins)= "):
        talking(authorise=by_header, **options)


async def test_names_are_known_in_upper_and_lower_case() -> None:
    site = talking(
        authorise=by_header, hosts=["Chat.Example.com"], origins=["http://LocalHost:3000"]
    )
    async with opened(site) as client:
        headers = {"host": "chat.example.com", "origin": "http://localhost:3000", "x-user": "ada"}
        assert (await client.get("/api/info", headers=headers)).status_code == 200


def by_header(request: HTTPConnection) -> str | None:
    return request.headers.get("x-user")


async def later_by_header(request: HTTPConnection) -> str | None:
    await anyio.lowlevel.checkpoint()
    return request.headers.get("x-user")


@pytest.mark.parametrize("authorise", [by_header, later_by_header])
async def test_authorise_says_who_asks(authorise: Any) -> None:
    async with opened(talking(authorise=authorise, hosts=["chat.example.com"])) as client:
        client.headers["host"] = "chat.example.com"
        nobody = await client.get("/api/info")
        assert nobody.status_code == 401
        assert nobody.json()["error"]["kind"] == "unauthorised"
        ada = await client.get("/api/info", headers={"x-user": "ada"})
        assert ada.json()["user"] == "ada"


async def test_authorise_that_answers_something_else_is_a_fault_of_the_program() -> None:
    async with opened(talking(authorise=lambda _: True)) as client:
        with pytest.raises(tether.UsageError, match="the name of a user"):
            await client.get("/api/info")


def paths(routes: list[BaseRoute], above: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from paths(list(route.routes), above + route.path)
        else:
            assert isinstance(route, Route), f"{route!r}: say here how it is tried"
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, above + route.path


async def test_nothing_of_a_users_conversation_is_visible_to_another_on_any_route() -> None:
    """A route that is added later is tried by itself."""
    site = talking(["The secret is", Pause()], authorise=by_header)
    async with opened(site, headers={"x-user": "ada"}) as client:
        made = await client.post("/api/conversations", json={"title": "the secret plan"})
        id = made.json()["id"]
        await client.post(f"/api/conversations/{id}/say", json={"text": "a secret"})
        sent = await client.post(f"/api/conversations/{id}/uploads?name=secret", content=b"secret")
        async with following(site, id, headers={"x-user": "ada"}) as viewer:
            await viewer.until(lambda v: "is" in v.client.body.rpartition("text_delta")[2])
        before = (await client.get(f"/api/conversations/{id}")).json()
        tried = 0
        for method, path in paths(list(site.routes)):
            filled = path.replace("{upload}", sent.json()["id"])
            # Whatever a parameter is: the id is the best that an attacker could put there.
            filled = re.sub(r"\{\w+(:\w+)?\}", id, filled)
            for user in ("eve", ""):
                answer = await answered(client, method, filled, {"x-user": user})
                none = await answered(
                    client, method, filled.replace(id, "0" * 32), {"x-user": user}
                )
                tried += 1
                assert "secret" not in answer.text, path
                # As if there were none.
                assert answer.status_code == none.status_code, path
                if id in filled:
                    assert answer.text.replace(id, "0" * 32) == none.text, path
        assert tried > 30
        after = (await client.get(f"/api/conversations/{id}")).json()
        assert before == after
        assert after["title"] == "the secret plan"


async def answered(client: Any, method: str, path: str, headers: dict[str, str]) -> Any:
    body = b"{}" if method in {"POST", "PUT", "PATCH"} else None
    with anyio.fail_after(30):
        return await client.request(method, path, headers=headers, content=body)


async def test_a_user_cannot_follow_anothers_conversation() -> None:
    site = talking("Hello.", authorise=by_header)
    async with opened(site, headers={"x-user": "ada"}) as client:
        id = (await client.post("/api/conversations", json={})).json()["id"]
        async with following(site, id, headers={"x-user": "eve"}) as viewer:
            await viewer.until(lambda v: v.client.is_complete)
        assert viewer.client.status == 404


async def test_the_page_is_open_and_nothing_else_is() -> None:
    site = talking(authorise=lambda _: None)
    async with opened(site) as client:
        assert (await client.get("/")).status_code == 200
        for method, path in paths(list(site.routes)):
            if path != "/" and not path.startswith("/static/"):
                answer = await answered(client, method, path.replace("{", "").replace("}", ""), {})
                assert answer.status_code == 401, path


# Links, cookies and tokens.


async def test_a_link_works_once_and_gives_a_cookie() -> None:
    tokens = Tokens()
    async with opened(talking(authorise=tokens)) as client:
        token = tokens.link()
        opened_link = await client.get("/", params={"token": token})
        assert (opened_link.status_code, opened_link.headers["location"]) == (303, "./")
        cookie = opened_link.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert token not in cookie
        assert opened_link.headers["referrer-policy"] == "no-referrer"
        assert (await client.get("/api/info")).status_code == 200
        client.cookies.clear()
        assert (await client.get("/api/info")).status_code == 401
        again = await client.get("/", params={"token": token})
        assert again.status_code == 401
        assert "set-cookie" not in again.headers


async def test_a_program_shows_a_token() -> None:
    tokens = Tokens(b"a key")
    async with opened(talking(authorise=Tokens(b"a key"))) as client:
        for shown, status in (
            (f"Bearer {tokens.bearer}", 200),
            (f"bearer  {tokens.bearer}", 200),
            (f"Basic {tokens.bearer}", 401),
            (tokens.bearer, 401),
            ("Bearer ", 401),
            ("Bearer \xe4", 401),
        ):
            headers = {"authorization": shown.encode("latin-1")}
            answer = await client.get("/api/info", headers=headers)  # type: ignore[arg-type]
            assert answer.status_code == status, shown


async def test_a_server_of_another_key_has_another_cookie() -> None:
    one, other = Tokens(b"one"), Tokens(b"other")
    assert one.cookie_name != other.cookie_name
    assert one.bearer != other.bearer


# Bounds.


@define
class Sender(Client):
    """Sends pieces of a body, and does not say how many there are."""

    received: int = 0

    async def receive(self) -> Any:
        self.received += 1
        return {"type": "http.request", "body": b" " * 100, "more_body": True}


async def test_a_body_that_is_larger_than_it_says_is_refused() -> None:
    site = talking(bounds=Bounds(body=500, upload=2000))
    async with opened(site) as client:
        sender = Sender()
        scope = scope_of(
            "/api/conversations", "POST", host="localhost", content_type="application/json"
        )
        await site(scope, sender.receive, sender.send)
        assert sender.status == 413
        assert sender.received == 6
        id = (await client.post("/api/conversations", json={})).json()["id"]
        file = await client.post(f"/api/conversations/{id}/uploads?name=a.txt", content=b"a" * 1500)
        assert file.status_code == 201
        file = await client.post(f"/api/conversations/{id}/uploads?name=a.txt", content=b"a" * 2500)
        assert file.status_code == 413


async def test_too_many_requests_of_a_user_are_refused_and_others_are_not() -> None:
    bounds = Bounds(requests=Rate(0.01, 3))
    async with opened(talking(authorise=by_header, bounds=bounds)) as client:
        statuses = []
        for user in ("ada", "ada", "ada", "ada", "eve"):
            answer = await client.get("/api/info", headers={"x-user": user})
            statuses.append(answer.status_code)
        assert statuses == [200, 200, 200, 429, 200]
        answer = await client.get("/api/info", headers={"x-user": "ada"})
        assert int(answer.headers["retry-after"]) > 50


async def test_too_many_wrong_tokens_of_an_address_are_refused() -> None:
    asked = []

    def authorise(_: HTTPConnection) -> None:
        asked.append(1)

    bounds = Bounds(failures=Rate(0.01, 2))
    async with opened(talking(authorise=authorise, bounds=bounds)) as client:
        statuses = [(await client.get("/api/info")).status_code for _ in range(4)]
        assert statuses == [401, 401, 429, 429]
        assert len(asked) == 2


def test_a_rate_comes_back_with_time_and_forgets_the_quiet() -> None:
    rates = Rates(Rate(2, 4))
    for _ in range(4):
        assert rates.wait("ada", 0) == 0
        rates.take("ada", 0)
    assert rates.wait("ada", 0) == 0.5
    assert rates.wait("ada", 0.25) == 0.25
    assert rates.wait("ada", 0.5) == 0
    for number in range(30_000):
        rates.take(str(number), 10)
    assert len(rates._buckets) <= 10_000
