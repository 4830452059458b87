"""`tether top` as a command: text, JSON and CSV for pipes, exit codes, wrong usage."""

import csv
import json

import anyio
import pytest
from tests.top.pages import shop
from tests.top.servers import answered, serving

from tether.cli.main import main
from tether.cli.top_command import parse, run


def pages() -> list[bytes]:
    return [answered(shop(step)) for step in range(100)]


async def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    with anyio.fail_after(60):
        code = await run(parse([*words, "--every", "0.05"]))
    return code, capsys.readouterr().out.splitlines()


async def test_once_prints_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # workers of the tests have a narrower one
    async with serving(pages()) as server:
        code, lines = await printed(capsys, server.address, "--once")
    assert code == 0
    assert lines[0].startswith(server.address)
    assert lines[1].startswith("cpu ")
    assert lines[2].split() == ["NAME", "RATE/s", "VALUE", "MEAN", "P50", "P90", "P99"]
    names = [line.split()[0] for line in lines[3:]]
    assert names == sorted(names)
    [requests] = [line for line in lines if line.startswith("http_request_duration_seconds")]
    assert len(requests.split()) == 7
    assert "-" not in requests.split()


async def test_json_is_a_line_for_each_label_set(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(pages()) as server, serving(answered("", status="500 Oh")) as broken:
        code, lines = await printed(capsys, server.address, broken.address, "--once", "--json")
    assert code == 1
    records = [json.loads(line) for line in lines]
    [error] = [one for one in records if "error" in one]
    assert (error["server"], error["error"]) == (broken.address, "it answers 500 Oh")
    found = {(one["name"], one["labels"].get("code")): one for one in records if one is not error}
    one = found["http_requests_total", "500"]
    assert one["labels"] == {"path": "/", "code": "500"}
    assert one["rate"] > 0
    summary = found["gc_duration_seconds", None]
    assert (summary["p50"], summary["p99"], summary["type"]) == (0.000071, None, "summary")


async def test_csv_has_a_title_and_a_line_for_each_label_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = answered('a{b="x,\\"y\\"\\nz"} 1\nc +Inf\nd NaN\n')
    async with serving(page) as server:
        code, lines = await printed(capsys, server.address, "--once", "--csv")
    assert code == 0
    rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == ["a", "c", "d"]
    assert rows[0]["labels"] == '{b="x,\\"y\\"\\nz"}'
    assert [row["value"] for row in rows] == ["1.0", "inf", ""]


async def test_json_goes_on_until_it_is_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(pages()) as server, anyio.create_task_group() as tasks:
        tasks.start_soon(run, parse([server.address, "--json", "--every", "0.05"]))
        with anyio.fail_after(60):
            lines: list[str] = []
            while sum("build_info" in line for line in lines) < 3:
                await anyio.sleep(0.01)
                lines += capsys.readouterr().out.splitlines()
        tasks.cancel_scope.cancel()


async def test_only_some_rows_in_another_order(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(pages()) as server:
        _, lines = await printed(
            capsys, server.address, "--once", "--sort", "value", "--find", "bytes"
        )
    assert [line.split()[0] for line in lines[3:]] == [
        "process_resident_memory_bytes",
        "sent_bytes_total",
        "queue_bytes",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing argument 'URL...'"),
        (["ftp://x"], "is not an address"),
        ([":1", "--every", "0"], "is not a number of seconds"),
        ([":1", "--every", "nan"], "is not a number of seconds"),
        ([":1", "--json", "--csv"], "not allowed with"),
        ([":1", "--header", "x"], "--header takes a line such as"),
        ([":1", "--sort", "size"], "is not one of"),
    ],
)
def test_wrong_usage_is_named(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", *words]) == 2
    assert said in capsys.readouterr().err


def test_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--help"]) == 0
    assert "--bearer-file FILE" in capsys.readouterr().out


def test_a_request_that_begins_with_top_is_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    """As with the other commands: quoted words are for the model."""
    assert main(["top ten lines", "--no-init", "--model", "offline"]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_server_that_is_down_is_exit_code_1(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "unix:/nowhere/a.sock", "--once", "--backend", backend]) == 1
    out = capsys.readouterr().out
    assert "DOWN no such file or directory (never seen)" in out


async def test_what_servers_send_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    page = answered('a{b="\x1b[2J\u202e"} 1\n# HELP a \x1b]0;x\x07\nbad\x1b line\n')
    async with serving(page) as server:
        for form in ("--json", "--csv", "--once"):
            _, lines = await printed(capsys, server.address, "--once", form)
            assert all(line.isprintable() for line in lines), lines
