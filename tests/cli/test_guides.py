"""`tether help`: the guides in the package's folders."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import tether
from tether.cli.guides import find_guides, list_guides, shown
from tether.cli.main import main

FOLDER = Path(tether.__file__).parent
GUIDES = find_guides()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with guides in its folder and in those below."""
    for folder, text in {
        "": "# The map\n\nRead **this** first.",
        "models": "# Models\n",
        "_engine": "No title.\n",
        "models/_wire": "# The wire\n",
    }.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "README.md").write_text(text)
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "main.py").touch()
    return tmp_path


def test_every_folder_with_a_guide_is_found(package: Path) -> None:
    assert list(find_guides(package)) == ["tether", "engine", "models", "models/wire"]
    assert len(GUIDES) == len(list(FOLDER.rglob("README.md")))


def test_the_list_gives_names_and_titles(package: Path) -> None:
    assert list(list_guides(find_guides(package))) == [
        "guides:",
        "  tether help tether       The map",
        "  tether help engine",
        "  tether help models       Models",
        "  tether help models/wire  The wire",
    ]
    assert list(list_guides({})) == ["there are no guides"]


def test_a_guide_is_shown_as_it_is_written_where_there_is_no_terminal(package: Path) -> None:
    assert shown(find_guides(package)["tether"]) == "# The map\n\nRead **this** first."


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_guide_is_rendered_at_a_terminal(package: Path, term: str) -> None:
    program = (
        "import sys; from pathlib import Path; from tether.cli.guides import find_guides, shown\n"
        "print(shown(find_guides(Path(sys.argv[1]))['tether']))"
    )
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal, os.fdopen(theirs, "wb") as out:
        subprocess.run(
            [sys.executable, "-c", program, str(package)],
            stdout=out,
            env={**os.environ, "TERM": term},
            check=True,
        )
        text = terminal.read(10_000).decode()
    assert ("**this**" in text) == (term == "dumb")
    assert ("\x1b[1m" in text) == (term == "xterm")


def test_an_unknown_guide_gives_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "nosuch"]) == 2
    shown = capsys.readouterr()
    assert "no guide is called 'nosuch'" in shown.err
    assert shown.out.splitlines() == list(list_guides(GUIDES))


def test_help_without_a_name_ends_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    listed = list(list_guides(GUIDES))
    assert capsys.readouterr().out.splitlines()[-len(listed) :] == listed


@pytest.mark.parametrize("name", GUIDES)
def test_every_guide_is_shown_by_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", name]) == 0
    assert capsys.readouterr().out.strip() == GUIDES[name].read_text(encoding="utf-8").strip()


def test_a_reader_that_ends_early_is_no_error() -> None:
    done = subprocess.run(
        f'{sys.executable} -c \'from tether.cli.main import main; main(["models", "anthropic", "openai"])\' | true',
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
