"""Keys that are kept, and short names of models."""

import io
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tether.cli.keys import keys_in
from tether.cli.main import main

SECRET = "sk-very-secret-0123"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.endswith("_API_KEY") or name == "TETHER_MODEL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setitem(sys.modules, "keyring", None)
    return tmp_path / "config"


class Keyring:
    """What the package `keyring` is, as far as it is used."""

    def __init__(self, priority: float, *, locked: bool = False) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.priority = priority
        self.locked = locked

    def get_keyring(self) -> Any:
        return SimpleNamespace(priority=self.priority)

    def set_password(self, service: str, name: str, key: str) -> None:
        if self.locked:
            raise RuntimeError("locked")
        self.kept[service, name] = key

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


def keep(monkeypatch: pytest.MonkeyPatch, provider: str = "openai", key: str = SECRET) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{key}\n"))
    return main(["keys", "set", provider])


def test_a_key_is_kept_in_a_file_of_ones_own_and_never_shown(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keep(monkeypatch) == 0
    assert stat.S_IMODE((config / "keys.json").stat().st_mode) == 0o600
    assert main(["keys"]) == 0
    assert main(["models"]) == 0
    assert main(["config"]) == 0
    said = "".join(capsys.readouterr())
    assert f"OPENAI_API_KEY is kept in {config / 'keys.json'}" in said
    assert SECRET not in said
    environ: dict[str, str] = {}
    with keys_in(environ):
        assert environ == {"OPENAI_API_KEY": SECRET}
    assert environ == {}
    assert main(["keys", "remove", "openai"]) == 0
    assert main(["keys", "remove", "openai"]) == 2
    with keys_in(environ):
        assert environ == {}


def test_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(monkeypatch)
    environ = {"OPENAI_API_KEY": "sk-env"}
    with keys_in(environ):
        assert environ == {"OPENAI_API_KEY": "sk-env"}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    main(["keys"])
    assert "OPENAI_API_KEY          set in the environment" in capsys.readouterr().out


def test_the_keyring_of_the_system_is_used_where_there_is_one(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = Keyring(5)
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert keep(monkeypatch) == 0
    assert ring.kept == {("tether", "OPENAI_API_KEY"): SECRET}
    assert SECRET not in (config / "keys.json").read_text()
    environ: dict[str, str] = {}
    with keys_in(environ):
        assert environ == {"OPENAI_API_KEY": SECRET}
    assert main(["keys", "remove", "openai"]) == 0
    assert ring.kept == {}


@pytest.mark.parametrize("ring", [Keyring(0), Keyring(-1), Keyring(5, locked=True)])
def test_where_the_keyring_keeps_nothing_the_file_does(
    ring: Keyring, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert keep(monkeypatch) == 0
    assert SECRET in (config / "keys.json").read_text()


@pytest.mark.parametrize(
    ("provider", "key", "said"),
    [
        ("opnai", SECRET, "no provider is called 'opnai'"),
        ("ollama", SECRET, "ollama needs no key"),
        ("openai", "", "a key is one word"),
        ("openai", "two words", "a key is one word"),
        ("openai", "sk-\u00e9", "a key is one word"),
    ],
)
def test_what_is_no_key_is_refused(
    provider: str,
    key: str,
    said: str,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert keep(monkeypatch, provider, key) == 2
    assert said in capsys.readouterr().err
    assert not config.exists()


def test_a_model_has_a_short_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alias", "here", "openai-chat:any"]) == 0
    assert main(["alias"]) == 0
    assert "openai-chat:any" in capsys.readouterr().out
    assert main(["-m", "here", "--base-url", "http://127.0.0.1:9", "--no-init", "hi"]) == 1
    assert "cannot connect to http://127.0.0.1:9" in capsys.readouterr().err
    assert main(["alias", "remove", "here"]) == 0
    assert main(["-m", "here", "--no-init", "hi"]) == 2


@pytest.mark.parametrize(
    "words",
    [["a:b", "openai:x"], ["offline", "openai:x"], ["x", "opnai:y"], ["x"], ["remove", "x"]],
)
def test_what_is_no_short_name_is_refused(words: list[str]) -> None:
    assert main(["alias", *words]) == 2
