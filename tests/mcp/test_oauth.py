"""Signing in with a browser, against an authorisation server on the loopback interface."""

import json
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from tests.mcp.loopback import served
from tests.mcp.running import result_of
from tests.mcp.sign_in_server import Guards, guarded_server
from tests.ports import reserved_port

from tether import UsageError, mcp

# As in test_http.py.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:Async generator '{library}.*:ResourceWarning")
    for library in ("httpx2", "httpcore2")
]


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


def kept_in(folder: Path) -> list[str]:
    return [file.read_text() for file in folder.iterdir()]


def browser(url: str) -> None:
    """Open a page as a browser does: its redirects are followed."""
    with urllib.request.urlopen(url, timeout=30) as page:
        page.read()


async def test_a_person_signs_in_once_and_the_tokens_are_kept_for_that_server_alone(
    tmp_path: Path, port: int
) -> None:
    guards, told = Guards(), list[str]()
    async with served(guarded_server(guards, port), port) as (url, _):
        spec = mcp.http("web", url)
        assert mcp.signed_in(spec, tmp_path) is spec
        async with mcp.connected(spec) as servers:
            assert servers["web"].status.startswith("failed: it answered HTTP 401 Unauthorized")
        status = await mcp.sign_in(spec, tmp_path / "tokens", tell=told.append, open_url=browser)
        assert status == "ready: 1 tool"
        assert "Open this page to sign in to web:" in told[0]
        [kept] = [*(tmp_path / "tokens").iterdir()]  # noqa: ASYNC240 - a test
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        async with mcp.connected(mcp.signed_in(spec, tmp_path / "tokens")) as servers:
            assert (await result_of(servers, "web_secret")).text == "the secret"
        other = mcp.http("web", url.replace("/mcp", "/other"))
        assert mcp.signed_in(other, tmp_path / "tokens") is other
        assert "tokens" in json.loads(kept.read_text())
        guards.access.clear()  # the token is no longer good, and is renewed or asked for anew
        guards.refresh.clear()
        async with mcp.connected(mcp.signed_in(spec, tmp_path / "tokens")) as servers:
            assert "sign in again: tether mcp login web" in servers["web"].status


async def test_who_declines_is_not_signed_in(tmp_path: Path, port: int) -> None:
    guards = Guards()
    guards.declines = True
    async with served(guarded_server(guards, port), port) as (url, _):
        status = await mcp.sign_in(
            mcp.http("web", url), tmp_path, tell=lambda _: None, open_url=browser
        )
    assert status == "failed: UsageError: signing in failed: access_denied"
    assert "tokens" not in "".join(kept_in(tmp_path))


async def test_other_pages_of_the_loopback_port_are_not_there(tmp_path: Path, port: int) -> None:
    """Whoever finds the port gets nothing from it, and ends nothing."""
    guards = Guards()

    def curious(url: str) -> None:
        from urllib.parse import parse_qs, urlsplit

        redirect = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        others = [redirect.replace("/callback", path) for path in ("/favicon.ico", "//[")]
        for query in ("", "?code=1", "?code=1&state=2", "?error=access_denied"):
            others.append(redirect + query)
        for other in others:
            with pytest.raises(urllib.error.HTTPError):
                browser(other)
        browser(url)

    async with served(guarded_server(guards, port), port) as (url, _):
        status = await mcp.sign_in(
            mcp.http("web", url), tmp_path, tell=lambda _: None, open_url=curious
        )
    assert status == "ready: 1 tool"


async def test_there_is_nothing_to_sign_in_to_at_a_program(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no server at an address"):
        await mcp.sign_in(mcp.stdio("a", "x"), tmp_path, tell=print)
    await anyio.lowlevel.checkpoint()
