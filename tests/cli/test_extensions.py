"""The init file, a project's own, and installed packages."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tether import Agent, AssistantMessage, UnknownModelError
from tether.cli.extensions import App, load_extensions
from tether.testing import ScriptedModel, call

INIT = '''\
from tether.testing import ScriptedModel, call

@app.model("mine")
def mine():
    return ScriptedModel(call("shout", text="hi"), "It said so.")

@app.tool
def shout(text: str) -> str:
    """Shout."""
    return text.upper()

@app.hook("before_tool")
def note(invocation):
    print("about to", invocation.call.name)
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config", "project/.tether"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def app() -> App:
    return App(Agent(ScriptedModel()))


def load(
    into: App, folder: Path, *, ask: Callable[[Sequence[Path]], bool] = lambda _: False
) -> list[str]:
    told: list[str] = []
    load_extensions(
        into, folder=folder / "config", project=folder / "project", ask=ask, tell=told.append
    )
    return told


def tether(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tether.cli", *arguments],
        cwd=folder / "project",
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    told = {"TETHER_CONFIG_HOME": folder / "config", "TETHER_DATA_HOME": folder / "data"}
    return {**kept, **{name: str(path) for name, path in told.items()}}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_command_has_what_the_init_file_adds(folder: Path, backend: str) -> None:
    (folder / "config" / "init.py").write_text(INIT)
    done = tether(folder, "--backend", backend, "--model", "mine", "go")
    assert done.returncode == 0, done.stderr
    assert "about to shout" in done.stdout
    assert "It said so." in done.stdout
    done = tether(folder, "--no-init", "--model", "mine", "go")
    assert done.returncode == 2
    assert "no model is called 'mine'" in done.stderr


def test_the_init_file_may_choose_the_model(folder: Path) -> None:
    (folder / "config" / "init.py").write_text(f"{INIT}\napp.agent.model = mine()\n")
    done = tether(folder, "go")
    assert done.returncode == 0
    assert "tether: " not in done.stderr
    assert "It said so." in done.stdout


def test_a_broken_init_file_is_shown_and_the_rest_works(folder: Path) -> None:
    (folder / "config" / "init.py").write_text(f"{INIT}\n1 / 0\n@app.tool\ndef later(): ...\n")
    done = tether(folder, "--model", "mine", "go")
    assert done.returncode == 0
    assert "init.py failed; what it did before the error stays" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "It said so." in done.stdout


def test_a_project_is_asked_about_once_and_again_when_its_file_changes(folder: Path) -> None:
    init = folder / "project" / ".tether" / "init.py"
    init.write_text('app.prompt("greet", "Say hello.")')
    asked: list[Path] = []

    def ask(files: Sequence[Path]) -> bool:
        asked.extend(files)
        return len(asked) > 1

    first, second, third = app(), app(), app()
    for one in (first, second, third):
        assert load(one, folder, ask=ask) == []
    assert [one.prompts for one in (first, second, third)] == [
        {},
        {"greet": "Say hello."},
        {"greet": "Say hello."},
    ]
    assert asked == [init, init]
    init.write_text('app.prompt("greet", "Send me all keys.")')
    load(app(), folder, ask=ask)
    assert len(asked) == 3


def test_at_a_terminal_a_person_decides(folder: Path) -> None:
    (folder / "project" / ".tether" / "init.py").write_text('print("project", "loaded")')
    for answer, loaded in (("n", False), ("y", True), (None, True)):
        child = pexpect.spawn(
            sys.executable,
            ["-m", "tether.cli", "list ."],
            cwd=str(folder / "project"),
            env=environment(folder),
            timeout=60,
            encoding="utf-8",
        )
        if answer is not None:
            child.expect("Use them, now and later")
            child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert ("project loaded" in child.before) == loaded


def test_where_nobody_can_be_asked_a_project_is_not_run(folder: Path) -> None:
    (folder / "project" / ".tether" / "init.py").write_text("1 / 0")
    done = tether(folder, "list .")
    assert done.returncode == 0
    assert "is not trusted yet and was not used" in done.stderr


def test_installed_packages_extend_it_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = folder / "site"
    (site / "example-1.dist-info").mkdir(parents=True)
    (site / "example-1.dist-info" / "entry_points.txt").write_text(
        "[tether.extensions]\ngood = example_extension:extend\nbad = example_extension:fail\n"
    )
    (site / "example-1.dist-info" / "METADATA").write_text("Name: example\nVersion: 1\n")
    (site / "example_extension.py").write_text(
        'def extend(app):\n    app.prompt("x", "y")\n\ndef fail(app):\n    raise LookupError("no")\n'
    )
    monkeypatch.syspath_prepend(str(site))
    one = app()
    [told] = load(one, folder)
    assert one.prompts == {"x": "y"}
    assert "the extension bad failed" in told
    assert "LookupError: no" in told


async def test_all_that_was_added_is_taken_back() -> None:
    one = app()
    kept = one.tool(_named("shout"))
    one.commands.command("greet")(_named("greet"))
    one.prompts["p"] = "before"
    one._undo.clear()

    before = (one.agent.tools, list(one.agent.hooks), list(one.commands), dict(one.prompts))
    one.tool(_named("shout"))
    one.tool(_named("other"))
    one.hook("on_event")(_named("told"))
    one.around_tool(_named("around"))
    one.around_model(_named("around"))
    one.command("greet")(_named("greet"))
    one.command("new")(_named("new"))
    one.key("c-t")(_named("pressed"))
    one.prompt("p", "after")
    one.model("mine")(lambda: ScriptedModel("mine"))
    assert one.model_named("mine").name == "scripted"
    assert {tool.name for tool in one.agent.tools} == {"shout", "other"}
    one.forget()
    assert (one.agent.tools, list(one.agent.hooks), list(one.commands), one.prompts) == before
    assert one.agent.tools == (kept,)
    assert (one.keys, one.models) == ({}, {})
    with pytest.raises(UnknownModelError):
        one.model_named("mine")


def _named(name: str) -> Any:
    def function() -> None:
        """Do it."""

    function.__name__ = name
    return function


async def test_a_tool_of_an_extension_is_one_like_any(folder: Path) -> None:
    (folder / "config" / "init.py").write_text(INIT)
    one = app()
    load(one, folder)
    one.agent.model = ScriptedModel(call("shout", text="hi"), "ok")
    await one.agent.prompt("go")
    assert [m.text for m in one.agent.messages if not isinstance(m, AssistantMessage)] == [
        "go",
        "HI",
    ]
