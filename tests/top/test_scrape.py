"""Scraping: what servers answer, where credentials go, and the bounds of time and size."""

import gzip
import ssl
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.top.servers import answered, serving

from tether import UsageError
from tether.top.endpoint import endpoint, headers_of
from tether.top.scrape import Options, open_scraper, watch
from tether.top.source import Answer, Failure, Outcome

PAGE = answered("a 1\nb 2\n")
OPTIONS = Options(every=0.05, timeout=60)


async def scraped(address: str, **options: Any) -> Outcome:
    async with open_scraper(endpoint(address), evolve(OPTIONS, **options)) as scraper:
        return await scraper.scrape()


async def refused(response: bytes, **options: Any) -> str:
    async with serving(response) as server:
        outcome = await scraped(server.address, **options)
    assert isinstance(outcome, Failure)
    return outcome.reason


async def test_a_page_is_asked_for_and_read() -> None:
    async with serving(PAGE) as server:
        outcome = await scraped(server.address)
    assert isinstance(outcome, Answer)
    assert [sample.series for sample in outcome.page.samples] == ["a", "b"]
    assert outcome.size == 8
    [head] = server.requests
    assert head.startswith("GET /metrics HTTP/1.1\r\n")
    assert "application/openmetrics-text;version=1.0.0;q=0.9" in head


async def test_openmetrics_is_known_by_its_type() -> None:
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    async with serving(answered("a 1 2.5\n# EOF\n", kind=kind)) as server:
        outcome = await scraped(server.address)
    assert isinstance(outcome, Answer)
    assert outcome.page.samples[0].timestamp == 2.5


async def test_a_compressed_page_is_read() -> None:
    async with serving(answered(gzip.compress(b"a 1\n"), "Content-Encoding: gzip")) as server:
        outcome = await scraped(server.address)
    assert isinstance(outcome, Answer)
    assert outcome.size == 4
    assert "gzip" in server.requests[0]


NO_PAGES = [
    (answered("<p>", kind="text/html"), "HTML and not with metrics; is the path right"),
    (answered("\n <!DOCTYPE html><p>Hi"), "HTML and not with metrics"),
    (answered("{}", kind="application/json"), "json and not with the text format"),
    (answered("hello, world\n"), "is not metrics; it begins with 'hello, world'"),
    (answered("", status="404 Not Found"), "404 Not Found; is the path right"),
    (answered("", status="500 Oh"), "500 Oh"),
    (answered("", status="401 Unauthorized"), "--bearer-file"),
    (answered(b"no gzip", "Content-Encoding: gzip"), "damaged"),
    (answered(gzip.compress(b"a 1\n" * 99)[:-9], "Content-Encoding: gzip"), "ends early"),
    (answered("a 1\n", "Content-Encoding: zstd"), "zstd"),
    (answered("", "Location: ftp://x/", status="302 Found"), "ftp:"),
    (answered("", "Location: /metrics", status="302 Found"), "more than 5 times"),
    (answered("", "Location: http://[/", status="302 Found"), ""),
    (b"nonsense\r\n\r\n", ""),
    (b"", "disconnected"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\na 1\n", "without sending complete message"),
]


async def test_what_is_no_page_is_named() -> None:
    """And the next scrape starts afresh."""
    async with (
        serving(
            [
                one
                for response, words in NO_PAGES
                for one in [response] * (6 if "5 times" in words else 1)
            ]
        ) as server,
        open_scraper(endpoint(server.address), OPTIONS) as scraper,
    ):
        for _, words in NO_PAGES:
            outcome = await scraper.scrape()
            assert isinstance(outcome, Failure)
            assert words in outcome.reason


@pytest.mark.parametrize("body", [b"a 1\n" * 1000, gzip.compress(b"a 1\n" * 1_000_000)])
async def test_a_page_that_is_too_large_is_refused(body: bytes) -> None:
    """Also one that is small until it is decompressed."""
    encoding = "gzip" if body.startswith(b"\x1f") else "identity"
    response = answered(body, f"Content-Encoding: {encoding}")
    assert "larger than" in await refused(response, most_bytes=2000)


async def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    async with serving(lambda _: None) as server:
        outcome = await scraped(server.address, timeout=0.05)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "no answer within 0.05 s"


async def test_a_server_that_is_not_there_is_down() -> None:
    async with serving(PAGE) as server:
        pass
    outcome = await scraped(server.address)
    assert isinstance(outcome, Failure)
    assert "refused" in outcome.reason


async def test_credentials_are_sent_and_read_anew_for_each_scrape(tmp_path: Path) -> None:
    token = tmp_path / "token"
    options = evolve(OPTIONS, headers=[("X-Key", "ä")], bearer_file=str(token))
    async with serving(PAGE) as server, open_scraper(endpoint(server.address), options) as scraper:
        assert isinstance(missing := await scraper.scrape(), Failure)
        assert missing.reason == f"{token}: No such file or directory"
        token.write_text("two words")
        assert isinstance(wrong := await scraper.scrape(), Failure)
        assert "two" not in wrong.reason
        for word in ("one", "other"):
            token.write_text(f"{word}\n")
            await scraper.scrape()
    first, second = server.requests
    assert "Authorization: Bearer one\r\n" in first
    assert "Authorization: Bearer other\r\n" in second
    assert "X-Key: ä" in first


STATUSES = ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"]


async def test_credentials_do_not_travel_to_another_host(tmp_path: Path) -> None:
    """Another port is another host too."""
    (tmp_path / "token").write_text("secret")
    async with serving(PAGE) as other:
        away = [answered("", f"Location: {other.address}", status=status) for status in STATUSES]
        async with serving(lambda number: away[number % len(away)]) as home:
            address = home.address.replace("http://", "http://me:secret@")
            options = evolve(
                OPTIONS,
                headers=[("X-Key", "secret"), ("Cookie", "secret")],
                bearer_file=str(tmp_path / "token"),
            )
            for one in (options, OPTIONS):
                async with open_scraper(endpoint(address), one) as scraper:
                    for _ in STATUSES:
                        assert isinstance(await scraper.scrape(), Answer)
    assert all("uthorization" in head for head in home.requests)
    assert sum("X-Key: secret" in head for head in home.requests) == len(STATUSES)
    assert len(other.requests) == 2 * len(STATUSES)
    for head in other.requests:
        assert "secret" not in head
        assert "uthorization" not in head
        assert "ookie" not in head


async def test_credentials_do_not_come_back_either(tmp_path: Path) -> None:
    """A host that redirects back home must not read what home gives to those with credentials."""
    heads: list[bytes] = []
    async with serving(lambda _: heads[0]) as other:
        away = answered("", f"Location: {other.address}", status="302 Found")
        async with serving([away, PAGE]) as home:
            heads.append(answered("", f"Location: {home.address}", status="302 Found"))
            await scraped(home.address, headers=[("X-Key", "secret")])
    assert ["secret" in head for head in home.requests] == [True, False]


async def test_credentials_follow_a_redirect_at_home() -> None:
    away = answered("", "Location: /real", status="302 Found")
    async with serving([away, PAGE]) as server:
        assert isinstance(await scraped(server.address, headers=[("X-Key", "k")]), Answer)
    assert server.requests[1].startswith("GET /real ")
    assert "X-Key: k" in server.requests[1]


async def test_a_host_to_which_credentials_did_not_travel_says_so() -> None:
    async with serving(answered("", status="401 Unauthorized")) as other:
        away = answered("", f"Location: {other.address}", status="302 Found")
        assert "credentials do not travel" in await refused(away, headers=[("X-Key", "k")])


async def test_a_unix_socket_is_an_address() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(PAGE, socket=f"{folder}/app.sock") as server:
            assert isinstance(await scraped(server.address), Answer)
            assert isinstance(await scraped(f"{server.address}:/other"), Answer)
    assert [head.split()[1] for head in server.requests] == ["/metrics", "/other"]


async def test_a_certificate_is_checked_unless_any_is_accepted() -> None:
    trustme = pytest.importorskip("trustme", reason="trustme makes the certificates of this test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with serving(PAGE, tls=context) as server:
        outcome = await scraped(server.address)
        assert isinstance(outcome, Failure)
        assert outcome.reason.startswith("its certificate is not accepted: ")
        assert outcome.reason.endswith(" (--insecure accepts any)")
        assert server.requests == []
        assert isinstance(await scraped(server.address, insecure=True), Answer)


async def test_a_redirect_does_not_lead_out_of_a_socket() -> None:
    away = answered("", "Location: http://other.example/metrics", status="302 Found")
    with tempfile.TemporaryDirectory() as folder:
        async with serving(away, socket=f"{folder}/app.sock") as server:
            outcome = await scraped(server.address)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "it redirects away from its socket"
    assert len(server.requests) == 1


async def test_servers_are_asked_again_and_again_side_by_side() -> None:
    """One that says nothing keeps the others from nothing; one that goes and comes back goes on."""
    outcomes: list[list[Outcome]] = [[], []]
    done = anyio.Event()

    def take(server: int, outcome: Outcome) -> None:
        outcomes[server].append(outcome)
        if len(outcomes[1]) == 3:
            done.set()

    away = answered("", status="503 Down")
    async with serving(lambda _: None) as silent, serving([PAGE, away, PAGE]) as server:
        endpoints = [endpoint(silent.address), endpoint(server.address)]
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch, endpoints, OPTIONS, take)
                await done.wait()
                tasks.cancel_scope.cancel()
    assert outcomes[0] == []
    assert [type(one) for one in outcomes[1]] == [Answer, Failure, Answer]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h:9100/metrics", "http://h:9100/metrics"),
        ("https://h", "https://h/metrics"),
        ("http://h/", "http://h/metrics"),
        ("http://h/other?x=1#f", "http://h/other?x=1"),
        ("h:9100", "http://h:9100/metrics"),
        (":9100", "http://127.0.0.1:9100/metrics"),
        (":9100/x", "http://127.0.0.1:9100/x"),
        ("[::1]:9100", "http://[::1]:9100/metrics"),
        ("localhost", "http://localhost/metrics"),
        ("unix:/run/a.sock", "http://localhost/metrics"),
        ("unix:///run/a.sock:/x", "http://localhost/x"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert endpoint(text).url == url


def test_a_password_is_not_shown() -> None:
    found = endpoint("http://me:secret@h:1/metrics")
    assert found.name == "http://h:1/metrics"
    assert "secret" in found.url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "ftp://h/",
        "http://h:x/",
        "http://h:99999",
        "unix:",
        "unix:a:b",
        "a b",
        "http://[/",
        "h\n",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        endpoint(text)


@pytest.mark.parametrize("line", ["", "secret", ": secret", "a b: secret", "a: secret\r\nb: c"])
def test_what_is_no_header_is_refused_without_a_word_of_it(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        headers_of([line])
    assert "secret" not in str(caught.value)
