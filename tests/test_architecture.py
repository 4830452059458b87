"""The map of the source, as a test: its rooms, what may import what, and how things are called.

A room is a module of the package, or a folder in it. The floors read downwards: a room may import from its own floor
and from those above it, and no two rooms import each other, be it by way of others.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TypeAlias

import pytest

import tether

SOURCE = Path(tether.__file__).parent

FLOORS = {
    "what things are": (
        "media_types opening media messages errors _given limits deltas events calls transcript vocabulary "
        "_json serialize result"
    ),
    "what decides": "_schema model tool_context tools hooks hookable loop taps",
    "scopes and streams": "_scopes _channel stream",
    "how models are reached": "transport models",
    "what happens": (
        "_engine run pending iterator chat approvals session commands configurable _terms "
        "_recording runnable agent blocking ray"
    ),
}
"""The spine, floor by floor."""

PURE = (*FLOORS["what things are"].split(), *FLOORS["what decides"].split(), "models._wire")
"""Rooms without I/O, clock or chance."""

WIRE_APIS = {
    f"models.{name}"
    for name in ("openai_chat", "openai_responses", "anthropic", "google", "bedrock")
}
"""Folders without either, but for the `api.py` of each."""

MODELS_KNOW = {
    "media_types",
    "opening",
    "media",
    "messages",
    "errors",
    "limits",
    "deltas",
    "transcript",
    "model",
    "_scopes",
    "transport",
}
"""All that the models know of the rest; and `_engine` knows nothing of them."""

GUESTS = (
    *("toolbox", "advice", "testing", "embedding", "replay", "pytest_plugin"),
    *("export", "host", "metrics", "stores", "many", "web", "mcp", "acp", "top", "cli"),
)
"""Many of a kind, made of the public face: the root and the public modules."""

FACES = (
    "",
    "blocking",
    "ray",
    "session",
    "transport",
    "web.page",
    "advice.tracing",
    "testing.explore",
    *(g for g in GUESTS if g != "top"),
)
"""Packages whose `__init__` exports what people use of them."""

FORBIDDEN_IN_PURE = {"anyio", "httpx", "time", "random", "uuid", "socket", "subprocess"}
BAGS = {"util", "utils", "helper", "helpers", "common", "manager", "misc"}


def _name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def _imports(path: Path) -> frozenset[str]:
    """The full names a module imports, wherever in it the import stands."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _internal(path: Path) -> set[str]:
    inside = {name.removeprefix("tether.") for name in _imports(path) if name.startswith("tether.")}
    return inside & MODULES.keys()


def _room(name: str) -> str:
    """The room of a module; within `models`, which is large, files and folders are rooms too."""
    return ".".join(name.split(".")[: 2 if name.startswith("models.") else 1])


def _arrows() -> Mapping[str, set[str]]:
    """Which rooms each room imports."""
    arrows: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        if name not in {"", "__main__"}:
            others = {_room(other) for other in _internal(path)} - {_room(name)}
            arrows.setdefault(_room(name), set()).update(others)
    return arrows


def _is_guest(name: str) -> bool:
    return name.split(".")[0] in GUESTS


SPINE = [name for name in MODULES if name not in {"", "__main__"} and not _is_guest(name)]


def test_every_room_has_its_place_on_the_map() -> None:
    rooms = [room for floor in FLOORS.values() for room in floor.split()]
    assert sorted({name.split(".")[0] for name in SPINE}) == sorted(rooms)
    assert {name for name in MODULES if _is_guest(name)} >= set(GUESTS)


@pytest.mark.parametrize("floor", FLOORS)
def test_arrows_between_floors_point_upwards(floor: str) -> None:
    above: set[str] = set()
    for name, rooms in FLOORS.items():
        above.update(rooms.split())
        if name == floor:
            break
    for room, others in _arrows().items():
        if room.split(".")[0] in FLOORS[floor].split():
            assert {other.split(".")[0] for other in others} <= above, room


def test_there_is_no_circle_between_rooms() -> None:
    """A CycleError names the rooms of the circle."""
    TopologicalSorter(_arrows()).prepare()


def test_the_engine_and_the_models_do_not_know_each_other() -> None:
    arrows = {room.split(".")[0]: set[str]() for room in _arrows()}
    for room, others in _arrows().items():
        arrows[room.split(".")[0]] |= {other.split(".")[0] for other in others}
    assert "models" not in arrows["_engine"]
    assert arrows["models"] - {"models"} <= MODELS_KNOW


def test_the_spine_never_imports_the_root() -> None:
    assert [name for name in SPINE if "tether" in _imports(MODULES[name])] == []


@pytest.mark.parametrize("name", [name for name in MODULES if _is_guest(name)])
def test_guests_are_made_of_the_public_face(name: str) -> None:
    family = name.split(".")[0]
    used = {one.removeprefix("tether.") for one in _imports(MODULES[name]) if "tether." in one}
    private = {one for one in used if one.split(".")[0] != family and _is_private(one)}
    assert private == set(), f"{name} reaches behind the public face"
    guests = {one.split(".")[0] for one in used} & set(GUESTS)
    assert guests <= {family, *_may_use(family)}


def _is_private(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))


def _may_use(family: str) -> tuple[str, ...]:
    return _GUESTS_OF.get(family, ())


_GUESTS_OF = {
    "acp": ("host", "mcp", "toolbox"),
    "cli": (
        "toolbox",
        "advice",
        "many",
        "stores",
        "export",
        "host",
        "web",
        "mcp",
        "acp",
        "metrics",
        "top",
        "replay",
    ),
    "host": ("replay",),
    "mcp": ("toolbox",),
    "pytest_plugin": ("testing",),
    "testing": ("replay",),
    "many": ("host",),
    "stores": ("host",),
    "web": ("embedding", "export", "host", "metrics"),
}


def _is_pure(name: str) -> bool:
    folder, _, file = name.rpartition(".")
    return _room(name) in PURE or (folder in WIRE_APIS and file != "api")


def _packages(name: str) -> set[str]:
    """The packages that a module imports from, its own among them."""
    return {imported.split(".")[0] for imported in _imports(MODULES[name])}


def test_what_decides_does_no_io() -> None:
    pure = [name for name in SPINE if _is_pure(name)]
    assert [name for name in pure if _packages(name) & FORBIDDEN_IN_PURE] == []


def test_few_rooms_know_httpx() -> None:
    """Beside the models, clients of other servers."""
    knowing = [name for name in MODULES if "httpx" in _packages(name)]
    rooms = (
        "models._http",
        "transport",
        "top.scrape",
        "web.remote",
        "toolbox.fetch",
        "testing.cassette",
    )
    assert [name for name in knowing if not name.startswith(rooms)] == []


def test_backends_are_named_in_the_test_kit_alone() -> None:
    naming = [name for name in MODULES if _packages(name) & {"asyncio", "trio"}]
    assert [name for name in naming if not name.startswith("testing")] == []


def test_every_folder_is_a_package() -> None:
    """Type checkers find no types in a folder without an `__init__`, once it is installed."""
    folders = {path.parent for path in MODULES.values()}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_module_is_a_bag() -> None:
    assert [name for name in MODULES if {p.strip("_") for p in name.split(".")} & BAGS] == []


def test_packages_export_nothing_but_those_that_people_import() -> None:
    """The `__init__` of any other package is a docstring."""
    packages = [name for name in MODULES if MODULES[name].name == "__init__.py"]
    exporting = [name for name in packages if len(_tree(MODULES[name]).body) > 1]
    assert [name for name in exporting if name not in FACES] == []


def test_every_module_says_what_it_is() -> None:
    assert [name for name in MODULES if not ast.get_docstring(_tree(MODULES[name]))] == []


Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def _functions() -> Iterator[tuple[str, Function]]:
    """All functions of the source, with their places."""
    for name, path in MODULES.items():
        for node in ast.walk(_tree(path)):
            if isinstance(node, Function):
                yield f"{name}.{node.name}", node


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions inside it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _own_nodes(child)


def _yields(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in _own_nodes(node))


def _yields_in_finally(function: Function) -> bool:
    tries = (node for node in _own_nodes(function) if isinstance(node, ast.Try))
    return any(_yields(ast.Module([last], [])) for node in tries for last in node.finalbody)


def test_no_yield_stands_in_a_finally() -> None:
    """A generator that is closed while it yields in `finally` cannot be closed."""
    assert [place for place, function in _functions() if _yields_in_finally(function)] == []


def _is_context_manager(function: Function) -> bool:
    return any("contextmanager" in ast.unparse(decorator) for decorator in function.decorator_list)


SCOPES = ("create_task_group", "open_task_group", "CancelScope", "move_on_after", "fail_after")


def _yields_in_a_scope(function: Function) -> bool:
    for node in _own_nodes(function):
        if isinstance(node, ast.With | ast.AsyncWith) and _yields(node):
            opened = " ".join(ast.unparse(item) for item in node.items)
            if any(scope in opened for scope in SCOPES):
                return True
    return False


def test_no_scope_stands_round_a_yield_but_in_a_context_manager() -> None:
    others = [(place, one) for place, one in _functions() if not _is_context_manager(one)]
    assert [place for place, function in others if _yields_in_a_scope(function)] == []


def _is_endless_shield(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or all(key.arg != "shield" for key in node.keywords):
        return False
    return not ast.unparse(node.func).endswith(("move_on_after", "fail_after"))


def test_shields_have_a_deadline() -> None:
    """A shielded clean-up that hangs would hang whoever cancelled it."""
    trees = {name: _tree(path) for name, path in MODULES.items()}
    assert [n for n, tree in trees.items() if any(map(_is_endless_shield, ast.walk(tree)))] == []


def test_importing_tether_works_where_trio_is_missing() -> None:
    """The trio backend is an extra."""
    assert "trio" not in {
        imported.split(".")[0]
        for name, path in MODULES.items()
        if not name.startswith("testing")
        for imported in _imports(path)
    }
    assert "tether" in sys.modules
