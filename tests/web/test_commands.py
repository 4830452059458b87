"""Commands over the native protocol: they are listed, what is said calls them, and what is none is told."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.web.asgi import following, opened
from tests.web.servers import hypercorn
from tests.web.test_native import created, post, talking

from tether import Commands, UserMessage
from tether.host import Conversation
from tether.web import ListedCommand, RemoteError, connect


def registry() -> Commands:
    commands = Commands(Conversation)

    @commands.command(raw=True, hint="BRANCH")
    def review(words: str = "") -> UserMessage:
        """Review a change."""
        return UserMessage(f"Review {words}.")

    @commands.command()
    def title(talk: Conversation) -> str:
        """Show the title."""
        return f"It is {talk.title}."

    return commands


async def messages(client: Any, id: str) -> list[Any]:
    shown = (await client.get(f"/api/conversations/{id}")).json()
    return [[block.get("text") for block in m["message"]["content"]] for m in shown["messages"]]


async def test_commands_are_listed_for_those_who_are_let_in() -> None:
    site = talking(
        authorise=lambda request: request.headers.get("x-user") or None, commands=registry()
    )
    async with opened(site) as client:
        assert (await client.get("/api/commands")).status_code == 401
        answer = await client.get("/api/commands", headers={"x-user": "ann"})
        assert answer.json() == {
            "commands": [
                {"name": "review", "description": "Review a change.", "hint": "BRANCH"},
                {"name": "title", "description": "Show the title.", "hint": ""},
            ]
        }


async def test_what_is_said_calls_a_command_with_its_files() -> None:
    site = talking("Fine.", commands=registry())
    async with opened(site) as client:
        id = await created(client, title="a talk")
        sent = await client.post(f"/api/conversations/{id}/uploads?name=a.txt", content=b"one")
        assert await post(client, id, "say", text="/title") == {"told": "It is a talk."}
        async with following(site, id) as viewer:
            said = await post(client, id, "say", text="/rev main", uploads=[sent.json()["id"]])
            assert said["started"]
            await viewer.until_end()
        assert await messages(client, id) == [["Review main.", "a.txt:\none"], ["Fine."]]


async def test_what_is_no_command_is_refused_and_nothing_is_said() -> None:
    async with opened(talking("Fine.", commands=registry())) as client:
        id = await created(client)
        for text in ("/nosuch x", "/", "/etc/hosts is odd", "/title one too many"):
            answer = await client.post(f"/api/conversations/{id}/say", json={"text": text})
            assert answer.status_code == 400, text
            message = answer.json()["error"]["message"]
            assert ("/review, /title." in message) != text.startswith("/title"), message
        assert await messages(client, id) == []


@pytest.mark.parametrize(("text", "commands"), [("/nosuch", Commands()), (" /review", registry())])
async def test_other_texts_are_said_as_they_are(text: str, commands: Commands) -> None:
    site = talking("Fine.", commands=commands)
    async with opened(site) as client:
        id = await created(client)
        async with following(site, id) as viewer:
            await post(client, id, "say", text=text)
            await viewer.until_end()
        assert await messages(client, id) == [[text], ["Fine."]]


async def test_another_user_calls_no_command_in_a_conversation() -> None:
    called: list[str] = []
    commands = Commands(Conversation)
    commands.command("note")(lambda: called.append("note"))
    site = talking(
        authorise=lambda request: request.headers.get("x-user") or None, commands=commands
    )
    async with opened(site, headers={"x-user": "ann"}) as client:
        id = await created(client)
        say, body = f"/api/conversations/{id}/say", {"text": "/note"}
        for user, status in (("eve", 404), ("", 401), ("ann", 200)):
            assert not called
            answer = await client.post(say, json=body, headers={"x-user": user})
            assert answer.status_code == status
        assert called == ["note"]


async def test_a_client_lists_and_calls_them() -> None:
    told: list[str] = []
    async with hypercorn(talking("Fine.", commands=registry())) as url, connect(url) as remote:
        listed = await remote.commands()
        assert listed[0] == ListedCommand("review", "Review a change.", "BRANCH")
        talk = await remote.conversation(title="a talk")
        assert await talk.say("/title", told=told.append) == ""
        assert told == ["It is a talk."]
        assert await talk.say("/review it", told=told.append)
        assert len(told) == 1


async def test_a_newer_server_may_say_more_and_another_says_something_else() -> None:
    answers: list[Any] = [
        {"commands": [{"name": "go", "description": "Go.", "hint": "", "kind": "new"}], "more": 1},
        {"commands": [{"name": "go", "description": 3, "hint": ""}]},
        {"commands": [{"name": "go"}]},
        {"listed": []},
        [],
    ]

    async def answer(_: Request) -> JSONResponse:
        return JSONResponse(answers.pop(0))

    site = Starlette(routes=[Route("/api/commands", answer)])
    async with hypercorn(site) as url, connect(url) as remote:
        assert await remote.commands() == [ListedCommand("go", "Go.", "")]
        while answers:
            with pytest.raises(RemoteError, match="it is no server of tether"):
                await remote.commands()
