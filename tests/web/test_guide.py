"""The guide does what it says: its application is served, its client is run, its tables are those of the code."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from tests.test_readme import blocks, first_codes
from tests.web.servers import hypercorn, uvicorn
from tests.web.test_native import talking

import tether.web
from tether.web import native


def of_the_guide(marker: str | None = None) -> list[str]:
    return [
        b.values[0] for b in blocks("python", marker) if str(b.id).startswith("src/tether/web:")
    ]


def application(folder: Path) -> Any:
    """The application in ten lines, as it stands there."""
    [code] = [block for block in of_the_guide() if "mount(" in block]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 10
    names: dict[str, Any] = {}
    exec(code.replace('"conversations"', repr(str(folder))), names)
    return names["app"]


async def hold_a_conversation(url: str) -> str:
    async with tether.web.connect(f"{url}/agent") as server:
        talk = await server.conversation()
        await talk.say("list .")
        text = ""
        async with talk.follow() as events:
            async for event in events:
                if isinstance(event, tether.MessageUpdate):
                    text += event.text
                if isinstance(event, tether.ApprovalRequested):
                    await talk.answer(event.call_id, "once")
                if isinstance(event, tether.AgentEnd):
                    return text
    raise AssertionError("the run did not end")


async def test_ten_lines_of_fastapi_hold_a_conversation(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="fastapi is not installed")
    async with hypercorn(application(tmp_path)) as url:
        assert "README.md" in await hold_a_conversation(url)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_and_on_uvicorn(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="fastapi is not installed")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    async with uvicorn(application(tmp_path)) as url:
        assert "README.md" in await hold_a_conversation(url)


async def test_the_client_of_the_guide_holds_a_conversation(capsys: Any) -> None:
    [code] = of_the_guide("client")
    site = talking([tether.testing.call("look", at="it")], "Fine.", authorise=None)
    async with hypercorn(site) as url:
        names: dict[str, Any] = {}
        exec(code.replace("http://127.0.0.1:8765", url).replace("anyio.run(main)", ""), names)
        await names["main"]()
    assert capsys.readouterr().out == "Fine."


def test_the_table_of_parameters_is_that_of_app() -> None:
    known = list(inspect.signature(tether.web.app).parameters)
    assert first_codes("src/tether/web", "parameter of `app`") == known


def test_the_table_of_routes_is_that_of_the_protocol() -> None:

    routes = {
        f"{method} {route.path}"  # type: ignore[attr-defined]
        for route in native.routes(None)  # type: ignore[arg-type]
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
    }
    assert set(first_codes("src/tether/web", "route")) == routes
