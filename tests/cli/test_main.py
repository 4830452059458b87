"""The command, started as a person would: in a process of its own, at a terminal where that matters."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pexpect
import pytest
from tests.models.replay import Exchange, events, serving, until_closed

from tether import AgentEnd, from_json
from tether.cli.main import main

TETHER = str(Path(sys.executable).with_name("tether"))
if not Path(TETHER).exists():
    pytest.skip("the command is not installed beside this Python", allow_module_level=True)

BACKENDS = ["asyncio", "trio"]


def environment(**more: str) -> dict[str, str]:
    kept = {
        k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k != "TETHER_MODEL"
    }
    return {**kept, "PYTHONWARNINGS": "error", **more}


def run(
    *arguments: str, folder: Path, stdin: str | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TETHER, *arguments],
        cwd=folder,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(**more),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "b.py").write_text("TODO = 1\n")
    return tmp_path


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_request_is_answered_with_its_calls_and_its_tokens(folder: Path, backend: str) -> None:
    done = run(
        "--backend", backend, "read a.txt and list src then how many lines has a.txt", folder=folder
    )
    warning, *notes = done.stderr.splitlines()
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "a.txt begins: one",
        "src holds: b.py",
        "a.txt has 3 lines.",
    ]
    assert sorted(line.split(" 0.")[0] for line in notes[:3]) == [
        "* list_files(path='src')",
        "* read_file(path='a.txt')",
        "* read_file(path='a.txt')",
    ]
    assert [line.startswith("- 3 turns, ") for line in notes[3:]] == [True]
    assert "using the offline model" in warning


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_event_is_a_line_of_json(folder: Path, backend: str) -> None:
    done = run("--backend", backend, "--json", "search TODO in src", folder=folder)
    read = [from_json(line) for line in done.stdout.splitlines()]
    assert isinstance(read[-1], AgentEnd)
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()][:2] == [
        "agent_start",
        "turn_start",
    ]


def test_a_reader_that_has_seen_enough_is_no_error(folder: Path) -> None:
    done = subprocess.run(
        f"{TETHER} --json 'search TODO in src' | head -1",
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment(),
    )
    assert done.stdout == '{"type":"agent_start"}\n'
    assert "Traceback" not in done.stderr


def test_a_request_may_be_piped(folder: Path) -> None:
    assert "src holds: b.py" in run(folder=folder, stdin="list src\n").stdout
    assert "src holds: b.py" in run("list", "-", folder=folder, stdin="src").stdout


def test_tools_that_change_things_are_refused_where_nobody_can_be_asked(folder: Path) -> None:
    done = run("write hello to c.txt", folder=folder)
    assert "denied" in done.stderr
    assert done.returncode == 0
    assert not (folder / "c.txt").exists()
    assert run("--yes", "write hello to c.txt", folder=folder).returncode == 0
    assert (folder / "c.txt").read_text() == "hello"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "the request is empty"),
        (["--max-turns", "0", "hi"], "not a whole number of 1 or more"),
        (["--backend", "curio", "hi"], "is not one of"),
        (["--model", "grok:x", "hi"], "no model is called 'grok:x'; did you mean groq?"),
        (["--model", "groq", "hi"], "names a provider but no model"),
        (["--model", "openai-chat:x", "--base-url", "here", "hi"], "base_url must begin with http"),
    ],
)
def test_wrong_usage_is_explained(folder: Path, arguments: list[str], said: str) -> None:
    done = run(*arguments, folder=folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_fails_is_told_and_counts_as_1(folder: Path) -> None:
    done = run(
        "--model",
        "openai-chat:x",
        "--base-url",
        "http://127.0.0.1:9",
        "--max-turns",
        "1",
        "hi",
        folder=folder,
    )
    assert done.returncode == 1
    assert "cannot connect to http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_has_examples_and_exit_codes(folder: Path) -> None:
    done = run("--help", folder=folder)
    assert done.returncode == 0
    assert "Examples:" in done.stdout
    assert "130 interrupted" in done.stdout
    assert run("--version", folder=folder).stdout.startswith("tether ")


def test_a_limit_of_turns_is_kept(folder: Path) -> None:
    done = run("--max-turns", "1", "read a.txt then list src", folder=folder)
    assert "stopped at the limit of turns" in done.stderr
    assert done.returncode == 3


@pytest.mark.parametrize("limits", ["turns=1", "input_tokens=1", "seconds=1e-9"])
def test_any_limit_has_an_exit_code_of_its_own(
    limits: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "init.py").write_text(f"import tether\napp.agent.limits = tether.Limits({limits})\n")
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(folder))
    monkeypatch.chdir(folder)
    assert main(["--model", "offline", "--json", "read a.txt then list src"]) == 3
    end = from_json(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(end, AgentEnd)
    assert end.stop_reason == "limit"


async def test_a_server_of_ones_own_is_asked(folder: Path, anyio_backend_name: str) -> None:
    import anyio

    chunk = json.dumps(
        {"choices": [{"index": 0, "delta": {"content": "Hello!"}, "finish_reason": "stop"}]}
    )

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(events(chunk, "[DONE]"))

    async with serving(handler) as server:
        with anyio.fail_after(60):
            done = await anyio.run_process(
                [
                    TETHER,
                    "--backend",
                    anyio_backend_name,
                    "--model",
                    "openai-chat:any",
                    "--base-url",
                    server.url,
                    "hi",
                ],
                cwd=folder,
                env=environment(),
            )
    assert done.stdout == b"Hello!\n"
    assert done.stderr.startswith(b"- 1 turn, ")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_person_is_asked_before_something_changes(folder: Path, backend: str) -> None:
    child = pexpect.spawn(
        TETHER,
        ["--backend", backend, "run echo ran && run echo again"],
        cwd=str(folder),
        env=environment(),
        timeout=60,
    )
    child.expect(r"Run it\? y = once, a = always allow run_command, n = no, or type a reason: ")
    child.sendline("y")
    child.expect(r"\* run_command")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.skipif(shutil.which("ps") is None, reason="ps is not installed")
@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_ends_the_command_and_its_processes(folder: Path, backend: str) -> None:
    sleep = f"sleep 61.{time.monotonic_ns()}"
    command = f"run {sleep} & {sleep}"
    child = pexpect.spawn(
        TETHER,
        ["--backend", backend, "--yes", command],
        cwd=str(folder),
        env=environment(),
        timeout=60,
    )
    _wait_for(lambda: sleep in _processes())
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert sleep not in _processes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_at_the_question_ends_the_command(folder: Path, backend: str) -> None:
    child = pexpect.spawn(
        TETHER,
        ["--backend", backend, "run echo ran"],
        cwd=str(folder),
        env=environment(),
        timeout=60,
    )
    child.expect(r"Run it\?")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


async def test_ctrl_c_leaves_the_partial_answer_on_the_screen(
    folder: Path, anyio_backend_name: str
) -> None:
    import anyio

    chunk = json.dumps(
        {"choices": [{"index": 0, "delta": {"content": "Once upon"}, "finish_reason": None}]}
    )

    async def handler(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.send(events(chunk))
        await until_closed(exchange)

    def at_terminal(url: str) -> tuple[str, int | None]:
        child = pexpect.spawn(
            TETHER,
            [
                "--backend",
                anyio_backend_name,
                "--model",
                "openai-chat:any",
                "--base-url",
                url,
                "a story",
            ],
            cwd=str(folder),
            env=environment(),
            timeout=60,
        )
        child.expect("Once upon")
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
        return str(child.after), child.exitstatus

    async with serving(handler) as server:
        with anyio.fail_after(60):
            _, status = await anyio.to_thread.run_sync(at_terminal, server.url)
            await server.exchanges[0].gone.wait()
    assert status == 130


def _processes() -> Sequence[str]:
    """The command lines of all processes."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def _wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_request_that_begins_like_an_info_command_is_a_request(folder: Path) -> None:
    assert "offline model" in run("models are in src", folder=folder).stdout
