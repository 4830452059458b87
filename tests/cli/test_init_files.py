"""What an init file may import, and what happens to one that gives `app` to something else."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tether import Agent
from tether.cli.extensions import App, load_extensions
from tether.testing import ScriptedModel


@pytest.fixture(autouse=True)
def _imports() -> Iterator[None]:
    path, modules = [*sys.path], {*sys.modules}
    yield
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        if name.startswith("neighbour"):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config", "project/.tether"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def load(app: App, folder: Path) -> tuple[list[str], list[str]]:
    """Load extensions; return what was told, and the files that were asked about."""
    told: list[str] = []
    asked: list[str] = []

    def ask(files: object) -> bool:
        asked.extend(file.name for file in files)  # type: ignore[attr-defined]  # they are paths
        return True

    load_extensions(
        app, folder=folder / "config", project=folder / "project", ask=ask, tell=told.append
    )
    return told, asked


USES = """\
from neighbour import text
from neighbours.inner import more
app.prompt({name!r}, text + more)

@app.command()
def later() -> str:
    import neighbour_later
    return neighbour_later.text
"""


def write(folder: Path, name: str, text: str) -> None:
    (folder / "neighbours").mkdir(exist_ok=True)
    (folder / "neighbours" / "__init__.py").write_text("")
    (folder / "neighbours" / "inner.py").write_text("more = '!'\n")
    (folder / "neighbour.py").write_text(f"text = {text!r}\n")
    (folder / "neighbour_later.py").write_text("text = 'later'\n")
    (folder / "init.py").write_text(USES.format(name=name))


async def test_an_init_file_imports_what_is_beside_it(folder: Path) -> None:
    write(folder / "config", "mine", "from config")
    write(folder / "project" / ".tether", "ours", "from the project")
    app = App(Agent(ScriptedModel()))
    assert load(app, folder)[0] == []
    assert app.prompts == {"mine": "from config!", "ours": "from the project!"}
    assert await app.commands.run("later") == "later"
    before = [*sys.path]
    app.forget()
    assert len(before) - len(sys.path) == 2
    write(folder / "config", "mine", "changed now")
    load(app, folder)
    assert app.prompts["mine"] == "changed now!"


def test_what_is_installed_comes_before_what_is_beside(folder: Path) -> None:
    (folder / "config" / "json.py").write_text("raise RuntimeError\n")
    (folder / "config" / "init.py").write_text("import json\napp.prompt('x', json.dumps(1))\n")
    app = App(Agent(ScriptedModel()))
    assert load(app, folder)[0] == []
    assert app.prompts == {"x": "1"}


def test_a_project_is_asked_about_again_when_a_neighbour_has_changed(folder: Path) -> None:
    project = folder / "project" / ".tether"
    write(project, "ours", "a")
    assert load(App(Agent(ScriptedModel())), folder)[1] == ["init.py"]
    assert load(App(Agent(ScriptedModel())), folder)[1] == []
    write(project, "ours", "b")
    assert load(App(Agent(ScriptedModel())), folder)[1] == ["init.py"]


@pytest.mark.parametrize(
    "line",
    [
        "from tether import Agent\nfrom tether.cli import App\napp = App(Agent('offline'))",
        "app = None",
        "del app",
    ],
)
def test_an_init_file_that_gives_app_to_something_else_is_told(folder: Path, line: str) -> None:
    (folder / "config" / "init.py").write_text(f"app.prompt('kept', 'x')\n{line}\n")
    app = App(Agent(ScriptedModel()))
    [told] = load(app, folder)[0]
    assert "init.py gives the name `app` to something else" in told
    assert app.prompts == {"kept": "x"}


def test_an_annotation_for_type_checkers_is_no_other_app(folder: Path) -> None:
    (folder / "config" / "init.py").write_text(
        "from tether.cli import App\napp: App\napp.prompt('x', 'y')\n"
    )
    app = App(Agent(ScriptedModel()))
    assert load(app, folder)[0] == []
    assert app.prompts == {"x": "y"}
