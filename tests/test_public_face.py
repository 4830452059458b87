"""What `import tether` gives, and what it costs."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import tether

RARE = {
    *("tether.session", "tether.toolbox", "tether.approvals", "tether.calls", "tether.serialize"),
    *("tether.models.catalogue", "tether._scopes.threads"),
    *("tether._engine.driver", "tether._engine.tool_calls"),
    *("base64", "concurrent.futures", "difflib", "jiter", "json", "logging", "urllib.parse"),
    *("anyio.streams.memory", "socket"),
}
"""What an agent imports when it needs it, as many programs do not, or not before an agent runs."""


def test_the_root_exports_what_it_imports_and_nothing_else() -> None:
    """Checkers read the imports; programs get each name from its place when they first use it."""
    places = vars(tether)["_PLACES"]
    body = ast.parse(Path(tether.__file__).read_text()).body
    checked = next(node for node in body if isinstance(node, ast.If))
    imported = {
        node.module: {alias.name for alias in node.names}
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
    }
    assert imported == {module: set(names.split()) for module, names in places.items()}
    assert {*tether.__all__} == {name for names in places.values() for name in names.split()}
    assert [name for name in tether.__all__ if not hasattr(tether, name)] == []
    assert {*tether.__all__} <= {*dir(tether)}
    assert list(tether.__all__) == sorted(tether.__all__)


def test_the_root_knows_the_public_modules_and_nothing_that_is_not_there() -> None:
    assert tether.stream.EventSink.__module__ == "tether.stream"
    with pytest.raises(AttributeError, match="module 'tether' has no attribute 'nothing'"):
        _ = tether.nothing  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from tether import nothing")


def _rooms() -> Iterator[str]:
    """The root, its modules, and the packages that people import from."""
    yield "tether"
    for module in pkgutil.walk_packages(tether.__path__, "tether."):
        below = module.name.split(".")[1:]
        if not any(part.startswith("_") for part in below) and (module.ispkg or len(below) == 1):
            yield module.name


def _annotated(exported: Any) -> Iterator[Any]:
    """What is exported, and where it is a class its methods and properties too."""
    if inspect.isfunction(exported):
        yield exported
    elif inspect.isclass(exported):
        yield exported
        for name, member in vars(exported).items():
            function = member.fget if isinstance(member, property) else inspect.unwrap(member)
            if inspect.isfunction(function) and (name == "__init__" or not name.startswith("_")):
                yield function


@pytest.mark.parametrize("room", [*_rooms()])
def test_the_types_of_what_people_import_can_be_read_while_a_program_runs(room: str) -> None:
    there = importlib.import_module(room)
    unread: dict[str, str] = {}
    for name in getattr(there, "__all__", ()):
        for one in _annotated(getattr(there, name)):
            try:
                get_type_hints(one)
            except NameError as error:
                unread[f"{name}: {one.__qualname__}"] = str(error)
    assert unread == {}


def test_a_type_that_is_imported_when_it_is_asked_for_is_the_class() -> None:
    session = get_type_hints(tether.Agent.__init__)["session"]
    assert tether.Session in get_args(session)


def test_a_program_pays_for_what_it_names() -> None:
    code = """\
import sys, tether
print(*(name for name in sys.modules if name[:7] == "tether."))
import attrs, msgspec, anyio.lowlevel, pathlib  # which imports urllib.parse on Python 3.11
others = {*sys.modules}
from tether import Agent
print(*{*sys.modules} - others)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    at_first, with_agent = done.stdout.splitlines()
    assert not at_first
    assert {"tether.agent", "tether.loop"} <= set(with_agent.split())
    assert not RARE & set(with_agent.split())


def test_importing_tether_does_not_import_what_a_program_may_never_use() -> None:
    program = (
        "import sys; from tether import *; import tether.advice; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {
        "httpx",
        "stamina",
        "jsonschema",
        "docstring_parser",
        "pydantic",
        "rich",
        "trio",
        "asyncio",
        "opentelemetry",
        "prometheus_client",
    }
    assert set(done.stdout.split()) & heavy == set()


def test_every_public_class_and_function_is_documented() -> None:
    public = {name: getattr(tether, name) for name in tether.__all__}
    plain = {n: v for n, v in public.items() if inspect.isclass(v) or inspect.isfunction(v)}
    assert [name for name, value in plain.items() if not value.__doc__] == []
    assert len(plain) > 50


@pytest.mark.parametrize("package", ["toolbox", "advice", "testing", "cli"])
def test_packages_export_what_people_use_of_them(package: str) -> None:
    module = importlib.import_module(f"tether.{package}")
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        exported = getattr(module, name)
        assert not inspect.ismodule(exported)
        assert exported.__doc__ or not inspect.isroutine(exported)
