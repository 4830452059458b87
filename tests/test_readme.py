"""Every guide does what it says: its code runs, its tables are those of the code, its links lead somewhere.

A block of code is tested by its language:

    python     is a program; where it calls `anyio.run`, it runs on asyncio and on trio
    console    each line `$ tether ...` is a command; the lines below it are what it prints
    sh         is for people; `.ci/run` runs those of the README that set up and test

A line `print(...)  # text` prints a line `text`. A comment such as `<!-- init file -->` on the line above a block gives
the block to a test of its own. `<!-- file: name.py -->` says that the block is the module of that name in
`tests/embedding`, below its docstring, which is started there for real.
"""

import ast
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import attrs
import pytest
from tests import pictures
from tests.cli.screen import terminal
from tests.programs import Programs, forking

from tether import (
    Agent,
    AgentEnd,
    Event,
    Limits,
    Message,
    ModelOptions,
    RetryPolicy,
    Run,
    ToolContext,
    errors,
    model_from_name,
    testing,
    tool,
)
from tether.cli.editor import KEYS
from tether.cli.slash_commands import slash_commands
from tether.hooks import HookPoint
from tether.messages import FailureKind, Outcome
from tether.models.catalogue import provider_keys
from tether.toolbox import coding_tools, fetch_tool, todo_tool

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src" / "tether"
README: Final = ROOT / "README.md"
GUIDES: Final = [README, *sorted(SOURCE.rglob("README.md")), ROOT / "benchmarks" / "README.md"]

_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<marker>[^\n]+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_PRINTED: Final = re.compile(r"print\(.*\)  # (?P<output>.*)$", re.MULTILINE)
_LINK: Final = re.compile(r"\[[^\]]*\]\((?P<path>[^)#\s]*)(?:#(?P<heading>[^)\s]+))?\)")
_VARIES: Final = re.compile(r"\d+\.\d\d(?= s\b)|[\d,]+(?= tokens in| out)")
_SECONDS: Final = 100
"""A guard: the machine may be busy."""

ON_TRIO: Final = (
    "import functools, anyio\nanyio.run = functools.partial(anyio.run, backend='trio')\n"
)


def name_of(guide: Path) -> str:
    return guide.parent.relative_to(ROOT).as_posix().replace(".", "README")


def blocks(language: str, marker: str | None = None) -> list[Any]:
    """The blocks of a language in all guides, as parameters that are named by their place."""
    return [
        pytest.param(block["code"], id=f"{name_of(guide)}:{line_of(guide, block)}")
        for guide in GUIDES
        for block in _BLOCK.finditer(guide.read_text())
        if block["language"] == language and block["marker"] == marker
    ]


def modules_of(guide: Path) -> dict[str, str]:
    """The blocks of a guide that are modules, by their file names."""
    return {
        block["marker"].removeprefix("file: "): block["code"]
        for block in _BLOCK.finditer(guide.read_text())
        if (block["marker"] or "").startswith("file: ")
    }


def line_of(guide: Path, block: re.Match[str]) -> int:
    return guide.read_text().count("\n", 0, block.start("code")) + 1


def environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    own = {"TETHER_CONFIG_HOME": folder / "config", "TETHER_DATA_HOME": folder / "data"}
    # As in an environment that was activated: the programs find the command `tether`.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**kept, "PATH": path, **{key: str(path) for key, path in own.items()}}


def run(folder: Path, *command: str, together: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    """Where the guides' programs are run, without starting Python for each."""
    with forking(ROOT) as server:
        yield server


def check_program(programs: Programs, folder: Path, program: str, *, before: str = "") -> None:
    # A folder of its own, as some write files; with what there is at the top of a project.
    (folder / "src").mkdir()
    (folder / "LICENSE").write_text((ROOT / "LICENSE").read_text())
    done = programs.run(before + program, folder, environment(folder))
    assert (done.returncode, done.stderr) == (0, "")
    printed = done.stdout.splitlines()
    for expected in _PRINTED.finditer(program):
        assert expected["output"] in printed
    assert printed or "print(" not in program


@pytest.mark.parametrize("program", blocks("python"))
def test_a_program_runs_and_prints_what_the_guide_says(
    program: str, programs: Programs, tmp_path: Path
) -> None:
    check_program(programs, tmp_path, program)


@pytest.mark.parametrize(
    "program", [block for block in blocks("python") if "anyio.run(" in block.values[0]]
)
def test_a_program_does_the_same_on_trio(program: str, programs: Programs, tmp_path: Path) -> None:
    check_program(programs, tmp_path, program, before=ON_TRIO)


@pytest.mark.parametrize("session", blocks("console"))
def test_a_command_prints_what_the_guide_says(session: str, tmp_path: Path) -> None:
    for part in session.split("$ tether ")[1:]:
        command, _, printed = part.partition("\n")
        # At a terminal, the answer and all else are in one place.
        done = run(tmp_path, "-m", "tether.cli", *shlex.split(command), together=True)
        assert done.returncode == 0, done.stdout
        assert _VARIES.sub("0", done.stdout) == _VARIES.sub("0", printed)


def test_the_init_file_adds_what_the_guide_says(tmp_path: Path) -> None:
    [init] = blocks("python", "init file")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "init.py").write_text(init.values[0])
    with terminal(tmp_path, "--no-session") as there:
        there.says("/greet Ada")
        there.until("Hello, Ada!")
        there.says("/describe today")
        there.until("Say which day it is.")
        there.until("init.py:")
        there.says("/hooks")
        there.until("guard")
        there.until("note")
        there.types("\x14")
        there.until("11 tools")
        there.says("/model local")
        there.until("ollama:qwen3")


SHOWN: Final = [
    pytest.param(name, code, id=name)
    for guide in GUIDES
    for name, code in modules_of(guide).items()
    if name != "agents.py"  # the agent of the tests does more than a reader's
]


@pytest.mark.parametrize(("name", "code"), SHOWN)
def test_a_guide_shows_the_module_that_is_tested(name: str, code: str) -> None:
    source = (ROOT / "tests" / "embedding" / name).read_text()
    docstring = ast.parse(source).body[0]
    assert docstring.end_lineno is not None
    below = "".join(source.splitlines(keepends=True)[docstring.end_lineno :])
    assert below.strip().replace("tests.embedding.", "") == code.strip()


def test_every_marker_belongs_to_a_test() -> None:
    markers = {
        block["marker"].partition(": ")[0]
        for guide in GUIDES
        for block in _BLOCK.finditer(guide.read_text())
        if block["marker"]
    }
    assert markers - {"file"} == {
        "collector",
        "prometheus",
        "set-up",
        "test",
        "init file",
        "client",
        "on a cluster",
    }


def test_the_readme_is_short_and_so_is_its_first_program() -> None:
    assert len(README.read_text().splitlines()) <= 290
    first = blocks("python")[0].values[0]
    assert len([line for line in first.splitlines() if line.strip()]) < 25


def test_the_picture_shows_what_the_command_shows() -> None:
    """Where it does not any more: `python -m tests.pictures`."""
    assert pictures.text_of(pictures.draw()) == pictures.text_of(pictures.PICTURE.read_text())


# Links.


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_links_lead_somewhere(guide: Path) -> None:
    for link in _LINK.finditer(_BLOCK.sub("", guide.read_text())):
        if link["path"].startswith("https://"):
            continue
        target = (guide.parent / link["path"]).resolve() if link["path"] else guide
        assert target.exists(), link[0]
        assert link["heading"] is None or link["heading"] in headings(target), link[0]


def headings(guide: Path) -> set[str]:
    found = re.findall(r"^#+ (.*)$", _BLOCK.sub("", guide.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in found}


def test_every_guide_is_on_the_map() -> None:
    map_of_guides = (SOURCE / "README.md").read_text()
    linked = {(SOURCE / link["path"]).resolve() for link in _LINK.finditer(map_of_guides)}
    assert {guide for guide in GUIDES if guide != SOURCE / "README.md"} <= linked


# Tables.


def table(guide: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column is called so, without what marks code."""
    _, found, after = (ROOT / guide / "README.md").read_text().partition(f"\n| {first} |")
    assert found, f"{guide} has no table of {first}"
    lines = after.split("\n\n")[0].splitlines()[2:]
    rows = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]
    return [[cell.strip() for cell in row] for row in rows]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def first_codes(guide: str, first: str) -> list[str]:
    return [name for row in table(guide, first) for name in codes(row[0])]


def fields(cls: Any) -> list[str]:
    return [field.name for field in attrs.fields(cls) if not field.name.startswith("_")]


def public(cls: type) -> list[str]:
    """What a class offers beside its protocols; methods with their brackets."""
    return [
        f"{name}()" if inspect.isfunction(member) else name
        for name, member in vars(cls).items()
        if not name.startswith("_")
    ]


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


MEMBERS: Final = [
    "messages",
    "state",
    *(member for cls in Agent.__mro__ for member in public(cls) if member.endswith("()")),
]
"""What an agent has, in addition to its parameters as attributes."""

TABLES: Final[list[tuple[str, str, Iterable[str]]]] = [
    ("src/tether", "event", [cls.__name__ for cls in get_args(Event)]),
    ("src/tether", "parameter", parameters(Agent)),
    ("src/tether", "handle", public(Run)),
    ("src/tether", "member", MEMBERS),
    ("src/tether", "stop reason", get_args(get_type_hints(AgentEnd)["stop_reason"])),
    ("src/tether", "message", [cls.__name__ for cls in get_args(Message)]),
    ("src/tether", "outcome", get_args(Outcome)),
    ("src/tether", "limit", fields(Limits)),
    ("src/tether", "error", errors.__all__),
    ("src/tether/models", "provider", [*provider_keys(), "offline"]),
    ("src/tether/models", "option", fields(ModelOptions)),
    ("src/tether/models", "kind", get_args(FailureKind)),
    ("src/tether/models", "field", fields(RetryPolicy)),
    (
        "src/tether/models",
        "setting",
        [
            "api_key",
            "stream",
            *sorted(
                {*fields(type(model_from_name("ollama:any")))}
                - {"name", "model", "api", "key", "sign", "streaming"}
            ),
        ],
    ),
    ("src/tether/toolbox", "option", [name for name in parameters(tool) if name != "function"]),
    (
        "src/tether/toolbox",
        "tool",
        [made.name for made in (*coding_tools("."), todo_tool(), fetch_tool())],
    ),
    ("src/tether/toolbox", "context", [*ToolContext.__slots__, *public(ToolContext)]),
    ("src/tether/advice", "hook point", get_args(HookPoint)),
    (
        "src/tether/testing",
        "function",
        sorted({*testing.__all__} - {"Backend", "CancelReport", "Kind", "Part", "Reply"}),
    ),
    (
        "src/tether/testing",
        "parameter",
        [name for name in parameters(testing.cancel_at_every_step) if name != "program"],
    ),
]


@pytest.mark.parametrize(("guide", "first", "names"), TABLES, ids=lambda value: str(value)[:40])
def test_a_table_names_what_there_is(guide: str, first: str, names: Iterable[str]) -> None:
    known = {name for name in names if not name.startswith("_")}
    assert sorted(first_codes(guide, first)) == sorted(known)


def test_the_table_of_options_is_that_of_the_help(tmp_path: Path) -> None:
    shown = run(tmp_path, "-m", "tether.cli", "--help").stdout
    known = {*re.findall(r"^  (?:-\w, )?(--[\w-]+)", shown, re.MULTILINE)} - {"--help"}
    assert {*first_codes("src/tether/cli", "option")} == known


def test_the_table_of_measures_is_that_of_the_benchmarks(tmp_path: Path) -> None:
    listed = run(tmp_path, "-m", "benchmarks", "--list").stdout
    assert first_codes("benchmarks", "measure") == [line.split()[0] for line in listed.splitlines()]


def test_the_table_of_events_has_their_types_and_fields() -> None:
    rows = {
        codes(row[0])[0]: (codes(row[1]), codes(row[2])) for row in table("src/tether", "event")
    }
    assert rows == {cls.__name__: ([cls.type], fields(cls)) for cls in get_args(Event)}


def test_the_table_of_parameters_has_their_defaults() -> None:
    known = inspect.signature(Agent).parameters
    for name, default, _ in table("src/tether", "parameter"):
        if default:
            assert codes(default) == [repr(known[codes(name)[0]].default).replace("'", '"')]


def test_the_table_of_providers_has_their_keys() -> None:
    rows = {codes(row[0])[0]: codes(row[1]) for row in table("src/tether/models", "provider")}
    assert rows == {**{name: list(keys) for name, keys in provider_keys().items()}, "offline": []}


def test_the_table_of_failures_says_which_are_retried() -> None:
    retried = {codes(row[0])[0] for row in table("src/tether/models", "kind") if row[2] == "yes"}
    assert retried == RetryPolicy().kinds


def test_the_table_of_keys_is_that_of_the_editor() -> None:
    assert {codes(row[1])[0] for row in table("src/tether/cli", "key")} == set(KEYS)


def test_the_table_of_slash_commands_is_that_of_the_conversation() -> None:
    _, _, after = (SOURCE / "cli" / "README.md").read_text().partition("## Slash commands")
    listed = re.findall(r"^\| `/(\w+)` \|", after, re.MULTILINE)
    assert sorted(listed) == sorted(command.name for command in slash_commands())


def test_the_table_of_ready_made_hooks_names_what_can_be_imported() -> None:
    for function, module, *_ in table("src/tether/advice", "function"):
        [name] = codes(function)
        assert callable(getattr(import_module(f"tether.advice.{codes(module)[0]}"), name))
