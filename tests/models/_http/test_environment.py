"""Proxies and certificates as the environment names them, and variables that cannot be used."""

import os
import ssl
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tether import Agent, ModelError, ModelRequest, UserMessage
from tether.model import RetryPolicy
from tether.models._http.environment import proxy_for, proxy_url, tls_context
from tether.models.catalogue import model_from_name

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")
SERVER = "https://server.example/v1"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *(name.upper() for name in VARIABLES)):
        monkeypatch.delenv(name, raising=False)


async def failure_of(model: Any) -> ModelError:
    with anyio.fail_after(60), pytest.raises(ModelError) as caught:
        async with model.stream(ModelRequest(messages=[UserMessage("hi")])):
            pass
    return caught.value


@pytest.mark.parametrize(
    ("variable", "value", "shown", "reason"),
    [
        ("ALL_PROXY", "socks5://me:pass@p:1", "socks5://p:1", "needs: pip install 'httpx[socks]'"),
        ("all_proxy", "socks5h://p:1", "socks5h://p:1", "needs: pip install 'httpx[socks]'"),
        ("HTTPS_PROXY", "ftp://p", "ftp://p", "begins with one of http, https, socks5, socks5h"),
        ("HTTPS_PROXY", "http://me:pa/ss@p:x", "http://p:x", "a proxy is a URL"),
        ("https_proxy", "http://", "http://", "a proxy is a URL"),
        ("HTTPS_PROXY", "http://p:99999999", "http://p:99999999", "a proxy is a URL"),
        ("HTTPS_PROXY", "http://[::1", "http://[::1", "a proxy is a URL"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, shown: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    error = await failure_of(model_from_name("vllm:m", base_url=SERVER))
    assert error.kind == "invalid_request"
    assert error.message.startswith(f"{variable}={shown} cannot be used: ")
    assert reason in error.message


async def test_a_run_meets_one_plain_error_and_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "ftp://p")
    model = model_from_name("vllm:m", base_url="http://server/v1", retry=RetryPolicy(attempts=3))
    with pytest.raises(ModelError, match="HTTP_PROXY=ftp://p cannot be used"):
        await Agent(model).prompt("hi")


async def test_a_proxy_of_another_scheme_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "ftp://p")
    monkeypatch.setenv("NO_PROXY", "")
    assert proxy_for(SERVER) is None


@pytest.mark.parametrize(
    ("variable", "value", "address"),
    [
        ("HTTPS_PROXY", "http://p:3128", "http://p:3128"),
        ("https_proxy", "p:3128", "http://p:3128"),
        ("ALL_PROXY", "https://p", "https://p"),
    ],
)
def test_a_proxy_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, address: str
) -> None:
    monkeypatch.setenv(variable, value)
    proxy = proxy_for(SERVER)
    assert proxy is not None
    assert proxy.url == httpx.URL(address)


def test_the_login_of_a_proxy_is_sent_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:p%2Fw@p:3128")
    proxy = proxy_for(SERVER)
    assert proxy is not None
    assert proxy.auth == ("me", "p/w")


@pytest.mark.parametrize(
    ("no_proxy", "url", "excepted"),
    [
        ("server.example", SERVER, True),
        ("example", SERVER, True),
        (".example", SERVER, True),
        ("*.example", SERVER, True),
        (".server.example", SERVER, False),
        ("erver.example", SERVER, False),
        ("SERVER.example", SERVER, True),
        ("server.example:443", SERVER, True),
        ("server.example:8443", SERVER, False),
        ("https://server.example", SERVER, True),
        ("http://server.example", SERVER, False),
        ("all://server.example", SERVER, True),
        ("*", SERVER, True),
        ("localhost", "http://localhost:8000/v1", True),
        ("127.0.0.1", "http://127.0.0.1:8000/v1", True),
        ("127.0.0.0/8", "http://127.0.0.1:8000/v1", True),
        ("10.0.0.0/8", "http://127.0.0.1:8000/v1", False),
        ("::1", "http://[::1]:8000/v1", True),
        ("fd00::/8", "http://[fd00::1]/v1", True),
        # What cannot be read is passed over, and what stands beside it counts.
        ("http://[, a:b:c:d, [x, 1.2.3.4/99, \u2100, :99999, //, server.example", SERVER, True),
        ("http://[, a:b:c:d, [x, 1.2.3.4/99, \u2100, :99999, //", SERVER, False),
        ("", SERVER, False),
    ],
)
def test_no_proxy_names_hosts(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, excepted: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://p:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (proxy_url(url) is None) == excepted


@pytest.mark.parametrize("kind", ["absent", "empty", "folder", "text", "fifo"])
async def test_a_file_without_certificates_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / kind
    match kind:
        case "empty" | "text":
            place.write_text("no certificate" * (kind == "text"))
        case "folder":
            place.mkdir()
        case "fifo":
            os.mkfifo(place)
        case _:
            pass
    monkeypatch.setenv("SSL_CERT_FILE", str(place))
    error = await failure_of(model_from_name("vllm:m", base_url=SERVER))
    assert error.kind == "invalid_request"
    assert error.message.startswith(f"SSL_CERT_FILE={place} cannot be used: ")


def test_a_folder_of_certificates_has_to_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "absent"))
    with pytest.raises(ModelError, match=r"SSL_CERT_DIR=.* cannot be used"):
        tls_context(SERVER)


def test_certificates_do_not_matter_where_there_is_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/absent")
    assert tls_context("http://server/v1").verify_mode is ssl.CERT_NONE


def test_certificates_are_checked_against_those_that_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    default = tls_context(SERVER)
    assert default.verify_mode is ssl.CERT_REQUIRED
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    with pytest.raises(ModelError):
        tls_context(SERVER)
