"""The map of the source, as a test: what may import what, and how things are called.

The list reads downwards: a module may import those above it and none below.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tether

SOURCE = Path(tether.__file__).parent

PURE = (
    "messages",
    "errors",
    "_exceptions",
    "_light",
    "deltas",
    "events",
    "transcript",
    "serialize",
    "_schema",
    "_schema.faults",
    "_schema.docstrings",
    "_schema.foreign",
    "_schema.types",
    "_schema.classes",
    "_schema.specs",
    "_schema.parameters",
    "model",
    "limits",
    "tools",
    "_inbox",
    "loop",
)
"""What things are, and what decides. No I/O, no clock, no chance."""

WIRE = (
    "models",
    "models._secrets",
    "models._sse",
    "models._failures",
    "models._wire",
    "models._typed_events",
    "models.retry",
    "models.knowledge",
    "models._chat_calls",
    "models._chat_reply",
    "models._chat_dialects",
    "models.openai_chat",
    "models._responses_reply",
    "models.openai_responses",
    "models._anthropic_reply",
    "models.anthropic",
    "models._google_reply",
    "models.google",
    "models._http",
    "models.offline",
    "models.catalogue",
    "models.fallback",
)
"""How models are reached. `_http` alone knows httpx."""

AWAITING = (
    "_scopes",
    "_loop_call",
    "_threads",
    "_turns",
    "_portal",
    "_channel",
    "_failure",
    "_broadcast",
    "stream",
    "hooks",
    "approvals",
    "commands",
    "settings",
    "_output",
    "_run_context",
    "_model_call",
    "_tool_calls",
    "_driver",
    "run",
    "pending",
    "iterator",
    "chat",
    "session",
    "agent",
    "blocking",
)
"""What happens."""

SPINE = PURE + WIRE + AWAITING
GUESTS = ("toolbox", "advice", "testing", "embedding", "cli")
"""Many of a kind, made of the public face: the root and the public modules."""

FORBIDDEN_IN_PURE = {"anyio", "httpx", "time", "random", "uuid", "socket", "subprocess"}
BAGS = {"util", "utils", "helper", "helpers", "common", "manager", "misc"}


def _name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def _imports(path: Path) -> Iterator[str]:
    """The full names a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
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


def _is_guest(name: str) -> bool:
    return name.split(".")[0] in GUESTS


def test_every_module_has_its_place_on_the_map() -> None:
    assert sorted(name for name in MODULES if name and not _is_guest(name)) == sorted(
        name for name in SPINE if name
    )


@pytest.mark.parametrize("name", [name for name in MODULES if name in SPINE])
def test_arrows_between_modules_point_upwards(name: str) -> None:
    above = set(SPINE[: SPINE.index(name)])
    assert _internal(MODULES[name]) - {"models"} <= above


@pytest.mark.parametrize("name", [name for name in MODULES if name in SPINE])
def test_the_spine_never_imports_the_root(name: str) -> None:
    assert "tether" not in set(_imports(MODULES[name]))


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
    return ("toolbox", "advice") if family == "cli" else ()


@pytest.mark.parametrize("name", PURE)
def test_what_decides_does_no_io(name: str) -> None:
    used = {imported.split(".")[0] for imported in _imports(MODULES[name])}
    assert used & FORBIDDEN_IN_PURE == set()


@pytest.mark.parametrize("name", list(MODULES))
def test_only_one_module_knows_httpx(name: str) -> None:
    used = {imported.split(".")[0] for imported in _imports(MODULES[name])}
    assert "httpx" not in used or name == "models._http"


@pytest.mark.parametrize("name", list(MODULES))
def test_backends_are_named_in_the_test_kit_alone(name: str) -> None:
    used = {imported.split(".")[0] for imported in _imports(MODULES[name])}
    assert used & {"asyncio", "trio"} == set() or name.startswith("testing")


@pytest.mark.parametrize("name", list(MODULES))
def test_no_module_is_a_bag(name: str) -> None:
    assert not {part.strip("_") for part in name.split(".")} & BAGS


@pytest.mark.parametrize("name", [name for name in MODULES if MODULES[name].name == "__init__.py"])
def test_packages_export_nothing_but_the_root_and_the_guests(name: str) -> None:
    body = ast.parse(MODULES[name].read_text()).body
    if name and name not in GUESTS:
        assert len(body) == 1, "a package's __init__ is a docstring"


@pytest.mark.parametrize("name", list(MODULES))
def test_every_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[name].read_text()))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions inside it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _own_nodes(child)


def _yields(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in _own_nodes(node))


@pytest.mark.parametrize("name", list(MODULES))
def test_no_yield_stands_in_a_finally(name: str) -> None:
    """A generator that is closed while it yields in `finally` cannot be closed."""
    for function in _functions(ast.parse(MODULES[name].read_text())):
        for node in _own_nodes(function):
            if isinstance(node, ast.Try):
                assert not any(_yields(ast.Module([s], [])) for s in node.finalbody), function.name


def _is_context_manager(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("contextmanager" in ast.unparse(decorator) for decorator in function.decorator_list)


SCOPES = ("create_task_group", "open_task_group", "CancelScope", "move_on_after", "fail_after")


@pytest.mark.parametrize("name", list(MODULES))
def test_no_scope_stands_round_a_yield_but_in_a_context_manager(name: str) -> None:
    for function in _functions(ast.parse(MODULES[name].read_text())):
        if _is_context_manager(function):
            continue
        for node in _own_nodes(function):
            if isinstance(node, ast.With | ast.AsyncWith) and _yields(node):
                opened = " ".join(ast.unparse(item) for item in node.items)
                assert not any(scope in opened for scope in SCOPES), f"{name}.{function.name}"


@pytest.mark.parametrize("name", list(MODULES))
def test_shields_have_a_deadline(name: str) -> None:
    """A shielded clean-up that hangs would hang whoever cancelled it."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Call) and any(k.arg == "shield" for k in node.keywords):
            assert ast.unparse(node.func).endswith(("move_on_after", "fail_after"))


def test_importing_tether_works_where_trio_is_missing() -> None:
    """The trio backend is an extra."""
    assert "trio" not in {
        imported.split(".")[0]
        for name, path in MODULES.items()
        if not name.startswith("testing")
        for imported in _imports(path)
    }
    assert "tether" in sys.modules
