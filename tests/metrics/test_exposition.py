"""Metrics on their way to Prometheus: by ASGI, by a thread, and to a real one that scrapes."""

import importlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import anyio
import attrs
import pytest
from tests.agent.checked_runs import GUARD
from tests.test_readme import blocks

from tether import Agent, UsageError
from tether.testing import ScriptedModel

pytest.importorskip("prometheus_client", reason="needs prometheus-client")

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

import tether.metrics
from tether.metrics import Metrics, exposition, serving

README = Path(tether.metrics.__file__).parent / "README.md"


async def of_a_run() -> Metrics:
    metrics = Metrics()
    agent = Agent(ScriptedModel("Hi."), name="clerk")
    metrics.watch(agent)
    await agent.prompt("hello")
    return metrics


async def asked(app: Any, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send an ASGI application a request."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    raw = [(name.encode(), text.encode()) for name, text in headers.items()]
    scope = {"type": "http", "method": method, "path": "/", "headers": raw, "query_string": b""}
    await app(scope, receive, send)
    start, *bodies = sent
    found = {name.decode(): text.decode() for name, text in start["headers"]}
    return start["status"], found, b"".join(message["body"] for message in bodies)


async def test_the_application_answers_in_the_format_that_is_asked_for() -> None:
    app = tether.metrics.app(await of_a_run())
    status, headers, body = await asked(app)
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    assert headers["content-length"] == str(len(body))
    families = {family.name for family in read_text(body.decode())}
    assert {"tether_runs_active", "tether_run_duration_seconds"} <= families
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    status, headers, body = await asked(app, accept=accept)
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert {"tether_runs", "tether_tokens"} <= {f.name for f in read_openmetrics(body.decode())}  # type: ignore[no-untyped-call]  # of prometheus-client


async def test_the_application_refuses_what_is_no_question() -> None:
    app = tether.metrics.app(Metrics())
    assert await asked(app, "POST") == (405, {"allow": "GET, HEAD"}, b"")
    status, headers, body = await asked(app, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0


async def test_the_application_may_be_served_by_itself() -> None:
    """A server asks for its lifespan first."""
    app: Any = tether.metrics.app(Metrics())
    messages = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": next(messages)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_it_may_be_mounted_in_starlette() -> None:
    starlette = pytest.importorskip("starlette.applications", reason="needs starlette")
    from starlette.routing import Mount

    app = starlette.Starlette(routes=[Mount("/metrics", tether.metrics.app(await of_a_run()))])
    import httpx

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/metrics", follow_redirects=True)
    assert response.status_code == 200
    assert 'tether_runs_total{agent="clerk",stop_reason="stop"} 1.0' in response.text


def test_a_thread_answers_while_a_block_runs() -> None:
    metrics = anyio.run(of_a_run)
    with serving(metrics, 0) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        body = urlopen(url, timeout=GUARD).read()
        with pytest.raises(UsageError, match=f"metrics cannot be served at 127.0.0.1:{port}: "):
            serving(metrics, port).__enter__()
    assert b"tether_runs_active" in body
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=GUARD)


def test_where_prometheus_client_is_missing_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in [name for name in sys.modules if name.startswith("tether.metrics")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ModuleNotFoundError, match=r"needs prometheus-client: pip install 'tether\[metrics\]'"
    ):
        importlib.import_module("tether.metrics")


def test_the_guide_has_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `(tether_\w+)` \| (\w+) \|([^|]*)\|", README.read_text(), re.MULTILINE)
    told = {name.removesuffix("_total"): (kind, labels.strip()) for name, kind, labels in rows}
    known: dict[str, tuple[str, str]] = {}
    for metric in attrs.asdict(Metrics().families, recurse=False).values():
        labels = " ".join(f"`{label}`" for label in metric._labelnames)
        known[metric._name] = (metric._type, labels)
    assert told == known


# A real one.


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """A Prometheus that scrapes a target."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs Prometheus (Debian: prometheus)")
    scrape = {"job_name": "tether", "static_configs": [{"targets": [target]}]}
    settings = {"global": {"scrape_interval": "100ms"}, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    process = subprocess.Popen(
        [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r'msg="Listening on" address=(\S+)', line):
                yield f"http://{found[1]}"
                break
        else:
            pytest.fail("Prometheus has not started")
    finally:
        process.terminate()
        process.stderr.close()
        process.wait()


def asks(url: str, query: str) -> Any:
    """Ask until there is an answer: it scrapes when it likes."""
    request = Request(f"{url}/api/v1/query", data=f"query={query}".encode())
    deadline = time.monotonic() + 12 * GUARD
    while time.monotonic() < deadline:
        with suppress(HTTPError), urlopen(request, timeout=GUARD) as response:  # 503 at first
            if result := json.load(response)["data"]["result"]:
                return result
        time.sleep(0.1)  # of a program that cannot be waited for otherwise
    return pytest.fail(f"no answer to {query}")


def test_a_real_prometheus_has_what_was_counted(tmp_path: Path) -> None:
    metrics = anyio.run(of_a_run)
    with serving(metrics, 0) as port, prometheus(tmp_path, f"127.0.0.1:{port}") as url:
        [sample] = asks(url, "tether_runs_total")
        labels = sample["metric"]
        assert (labels["agent"], labels["stop_reason"]) == ("clerk", "stop")
        assert sample["value"][1] == "1"
        [bucket] = asks(url, 'tether_run_duration_seconds_bucket{le="%2BInf"}')
        assert bucket["value"][1] == "1"


@pytest.mark.parametrize("code", blocks("python", "prometheus"))
def test_the_guide_shows_how_a_prometheus_is_served(code: str) -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            code.replace("9464", "0")
            .replace("):  #", ") as port:  #")
            .replace("input(", "print(port, flush=True); input("),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        port = int(program.stdout.readline())
        body = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=GUARD).read()
        program.communicate("\n")
    assert program.returncode == 0
    assert b'tether_runs_started_total{agent="clerk"} 1.0' in body


def test_the_exposition_of_nothing_is_one_too() -> None:
    body, _ = exposition(Metrics())
    assert list(read_text(body.decode()))
