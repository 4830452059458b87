"""`tether serve` as a process of its own: its link, its end by signals, and what is there after it was killed."""

import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from attrs import define

import tether
from tether.cli.exit_codes import WRONG_USAGE
from tether.cli.main import main

pytest.importorskip("hypercorn", reason="hypercorn is not installed")

from tests.embedding.processes import running
from tests.web.asgi import following, opened
from tests.web.servers import GUARD
from tests.web.test_client import until_end
from tests.web.test_native import created, post, texts

from tether.cli.serve_command import parse
from tether.host import Recordings
from tether.replay import read
from tether.web import Snapshot, connect
from tether.web.application import made_site, site_application


@define
class Serving:
    process: "subprocess.Popen[str]"
    url: str
    link: str
    token: str


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Serving]:
    arguments = ("-m", "tether.cli", "serve", "--model", "offline", "--no-init", *options)
    with running(
        *arguments, "--store", str(folder / "kept"), cwd=folder, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        printed = "".join(process.stdout.readline() for _ in range(3))
        found = re.search(r"once: (\S+)\n.*attach (\S+) --token (\S+)", printed)
        assert found, printed
        yield Serving(process, found[2], found[1], found[3])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    return tmp_path


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_that_was_killed_has_what_was_said_and_viewers_go_on(folder: Path) -> None:
    seen: list[tether.Event] = []
    with serving(folder, "--port", "0") as server:
        port = server.url.rpartition(":")[2]
        async with connect(server.link) as remote:
            talk = await remote.conversation()
            follower = talk.follow()
            await talk.say("how many lines has a.txt")
            await until_end(follower, seen)
            assert "a.txt has 2 lines." in texts(seen)
            server.process.kill()
            server.process.wait(GUARD)
            with serving(folder, "--port", port):
                # The cookie is still known.
                async with follower:
                    with anyio.fail_after(GUARD):
                        snapshot: Any = None
                        while not isinstance(snapshot, Snapshot):
                            snapshot = await anext(follower)
                    assert [m.role for _, m in snapshot.messages] == [
                        "user",
                        "assistant",
                        "tool",
                        "assistant",
                    ]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_signal_ends_it_in_order_also_with_a_viewer_and_a_question(
    folder: Path, backend: str
) -> None:
    recordings = folder / "recordings"
    options = ("--backend", backend, "--record", str(recordings))
    with serving(folder, "--port", "0", *options) as server:
        async with connect(server.url, token=server.token) as remote:
            talk = await remote.conversation()
            await talk.say("run sleep 1000")
            async with talk.follow() as events:
                with anyio.fail_after(GUARD):
                    async for event in events:
                        if isinstance(event, tether.ApprovalRequested):
                            break
                async with httpx.AsyncClient(
                    timeout=GUARD
                ) as client:  # no token: from this machine
                    told = (await client.get(f"{server.url}/metrics")).text
                assert {"tether_approvals_waiting 1.0", "tether_viewers 1.0"} <= {
                    *told.splitlines()
                }
                number = signal.SIGTERM if backend == "trio" else signal.SIGINT
                server.process.send_signal(number)
                server.process.wait(GUARD)
        assert server.process.returncode == 128 + number
        assert server.process.stdout is not None
        assert "Traceback" not in server.process.stdout.read()
    [run] = read(recordings / Recordings(recordings).files("")[0].name).runs
    assert run.prompts[0].text == "run sleep 1000"
    assert run.is_whole


def test_another_machine_is_let_in_only_where_that_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for host in ("0.0.0.0", "::", "192.168.1.1", "example.com"):
        assert main(["serve", "--host", host, "--model", "offline"]) == WRONG_USAGE
        assert "--allow-remote" in capsys.readouterr().err


WRONG: Sequence[Sequence[str]] = (
    ["--port", "70000"],
    ["--port", "x"],
    ["--approve", "some"],
    ["--host", "no such host", "--allow-remote"],
    ["--model", "nonsense:x"],
    ["--model", "offline", "--port", "0", "--record", "a.txt"],
)


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_usage_is_told(
    words: Sequence[str],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TETHER_DATA_HOME", str(folder))
    assert main(["serve", "--no-init", *words]) == WRONG_USAGE
    assert capsys.readouterr().err


async def test_files_of_the_person_are_commands_of_the_server(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name in ("HOME", "TETHER_DATA_HOME", "TETHER_CONFIG_HOME"):
        monkeypatch.setenv(name, str(folder))
    for path in ("commands/git/commit.md", "commands/empty.md", ".tether/commands/own.md"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("" if "empty" in path else "Commit $1.\n")
    options = ["--model", "offline", "--port", "0"]
    served = parse(options)
    with served.listener:
        assert [command.name for command in served.commands] == ["git:commit"]
    told = capsys.readouterr().err
    assert "empty.md" in told
    assert "own.md is not trusted yet" in told
    with parse(["--no-init", *options]).listener:
        pass
    site = made_site(served.make_agent, commands=served.commands)
    application = site_application(site, authorise=None)
    async with opened(application) as client:
        id = await created(client)
        async with following(application, id) as viewer:
            await post(client, id, "say", text="/git:commit all")
            await viewer.until_end()
        shown = (await client.get(f"/api/conversations/{id}")).json()
        assert "Commit all." in str(shown)


def test_a_port_that_is_taken_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TETHER_DATA_HOME", str(folder))
    options = ["--no-init", "--model", "offline", "--port"]
    with parse([*options, "0"]).listener as listener:
        port = str(listener.getsockname()[1])
        assert main(["serve", *options, port]) == WRONG_USAGE
    assert f"cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err
