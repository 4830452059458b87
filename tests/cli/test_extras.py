"""Commands where the modules of an extra are not installed."""

import re
import sys
import tomllib
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import tether
from tether.cli.extras import what_to_install
from tether.cli.main import main

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
EXTRAS = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
PACKAGES = packages_distributions()
COMMAND = ("cli", "mcp", "metrics", "web")
"""The extras of the command, without trio: the tests themselves run on it."""


def modules_of(extra: str) -> list[str]:
    """The modules that come with an extra."""
    wanted = {_plain(re.split(r"[^\w.-]", requirement)[0]) for requirement in EXTRAS[extra]}
    packages = PACKAGES.items()
    return [module for module, names in packages if wanted & {_plain(name) for name in names}]


def _plain(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


@frozen
class Without:
    """Finds every module that others find, except those with these names."""

    names: set[str]
    others: Sequence[Any]

    def find_spec(self, name: str, *where: Any) -> ModuleSpec | None:
        if name.partition(".")[0] in self.names:
            return None
        return next(filter(None, (one.find_spec(name, *where) for one in self.others)), None)


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process of `pip install tether`, in an empty folder."""
    absent = {module for extra in COMMAND for module in modules_of(extra)}
    needing = {f"tether.{name}" for name in ("cli", "web", "top", "metrics", "mcp", "acp")}
    for name in list(sys.modules):
        if name.partition(".")[0] in absent or ".".join(name.split(".")[:2]) in needing:
            monkeypatch.delitem(sys.modules, name)
    for name in needing:
        monkeypatch.delitem(vars(tether), name.removeprefix("tether."), raising=False)
    monkeypatch.setattr(sys, "meta_path", [Without(absent, sys.meta_path)])
    for variable in ("TETHER_CONFIG_HOME", "TETHER_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("extra", ["cli", "web", "trio"])
def test_every_module_of_an_extra_of_the_command_is_known(extra: str) -> None:
    assert modules_of(extra)
    for module in modules_of(extra):
        advice = what_to_install(ModuleNotFoundError("", name=f"{module}.part"))
        assert advice is not None
        assert re.search(rf"pip install 'tether\[([a-z]+,)?{extra}\]'", advice)


@pytest.mark.parametrize(
    "words",
    [
        "hello",
        "sessions",
        "config",
        "resume id hello",
        "mcp",
        "mcp try",
        "mcp serve",
        "acp",
        "serve",
        "attach http://127.0.0.1:1",
        "top http://127.0.0.1:1 --once",
        "--metrics 0 --no-init hello",
    ],
)
@pytest.mark.usefixtures("without_extras")
def test_a_command_says_what_to_install(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tether.cli.main import main

    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert re.search(r"^tether: .*pip install 'tether\[[a-z,]+\]'$", said, re.MULTILINE)
    assert "Traceback" not in said


def test_a_missing_backend_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trio", None)
    assert main(["--backend", "trio", "--no-init", "--model", "offline", "hello"]) == 2
    assert capsys.readouterr().err == "tether: trio is not installed: pip install 'tether[trio]'\n"


def test_a_missing_module_of_no_extra_is_a_fault_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tether.cli.top_command", None)
    with pytest.raises(SystemExit):
        main(["top", "http://127.0.0.1:1"])
    assert "ModuleNotFoundError" in capsys.readouterr().err
