"""Metrics of the command while it runs."""

import re
import socket
import sys
from pathlib import Path
from urllib.request import urlopen

import anyio
import pytest

from tether import Agent, UsageError
from tether.cli.main import main
from tether.cli.measuring import measured
from tether.testing import ScriptedModel

pytest.importorskip("prometheus_client", reason="needs prometheus-client")

GUARD = 60


async def test_they_are_served_while_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    agent = Agent(ScriptedModel("Hello."), name="clerk")
    told = ""

    async def work() -> int:
        nonlocal told
        await agent.prompt("hi")
        found = re.search(r"metrics at (http://127.0.0.1:\d+/metrics)", capsys.readouterr().err)
        assert found is not None
        url = found[1]
        told = await anyio.to_thread.run_sync(lambda: urlopen(url, timeout=GUARD).read().decode())
        return 7

    with measured(agent, 0) as also_measured:
        assert await also_measured(work)() == 7
    assert 'tether_runs_total{agent="clerk",stop_reason="stop"} 1.0' in told


async def test_without_the_option_nothing_is_measured() -> None:
    agent = Agent()

    async def work() -> int:
        return 7

    with measured(agent, None) as also_measured:
        assert also_measured(work) is work
    assert list(agent.hooks) == []


def test_a_port_that_is_taken_and_an_extra_that_is_missing_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"metrics cannot be served at 127.0.0.1:{port}: "),
            measured(Agent(), port),
        ):
            pass
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in [name for name in sys.modules if name.startswith("tether.metrics")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UsageError, match=r"pip install 'tether\[metrics\]'"), measured(Agent(), 0):
        pass


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1.5"])
def test_what_is_no_port_is_wrong_usage(
    port: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--metrics", port, "hello"]) == 2
    assert "is not a port: a whole number of 0 to 65535" in capsys.readouterr().err


def test_the_command_takes_the_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path))
    assert main(["--metrics", "0", "--model", "offline", "hello"]) == 0
    told = capsys.readouterr()
    assert "metrics at http://127.0.0.1:" in told.err
    assert told.out
