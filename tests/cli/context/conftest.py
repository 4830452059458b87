"""A project in a Git repository, a home, and a configuration folder, all empty."""

from pathlib import Path

import pytest


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("home", "config", "repository/.git", "repository/project"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "repository" / "project"
    monkeypatch.chdir(folder)
    return folder
