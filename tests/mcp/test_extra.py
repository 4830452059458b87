"""The SDK is an extra: it costs nothing where it is not used, and its absence is told."""

import subprocess
import sys

import pytest


def test_importing_tether_and_its_command_does_not_import_the_sdk() -> None:
    code = "import sys, tether, tether.cli.main; print({'mcp', 'pydantic', 'httpx2'} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_a_missing_sdk_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("tether.mcp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tether\[mcp\]'"):
        __import__("tether.mcp")
