"""Make it yours: the init file, the project's own, and installed packages, all given the same `app`.

    # init.py in the configuration folder
    @app.tool
    def today() -> str:
        '''Say which day it is.'''
        return date.today().isoformat()

    @app.hook("before_tool")
    def no_secrets(invocation): ...

What goes wrong in one is shown with its traceback, and the rest still works. A project's `.tether/init.py` is run only
once a person has said that it may be, and asked about again when it has changed.
"""

import hashlib
import json
import os
import runpy
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import define, field

from tether import (
    Agent,
    AroundModel,
    AroundTool,
    Commands,
    Complete,
    HookPoint,
    Model,
    Tool,
    UnknownModelError,
    model_from_name,
    tool,
)

__all__ = ("App", "Trust", "configuration_folder", "load_extensions")

GROUP: Final = "tether.extensions"
"""The entry-point group of packages that extend the command: each names a function that is given the app."""

F = TypeVar("F", bound=Callable[..., Any])


def configuration_folder() -> Path:
    """Return where a person's own files are: TETHER_CONFIG_HOME, or where the platform keeps such."""
    if told := os.environ.get("TETHER_CONFIG_HOME"):
        return Path(told)
    import platformdirs  # noqa: PLC0415 - not needed where it is told

    return platformdirs.user_config_path("tether", appauthor=False)


@define(eq=False)
class App:
    """What an extension may change: the agent, and what people call it by.

    Attributes:
        agent: the agent, with all that it has.
        commands: commands by name.
        models: models by names of one's own, and what makes them.
        prompts: texts by name.
        keys: functions by key.
    """

    agent: Agent
    commands: Commands = field(factory=Commands)
    models: dict[str, Callable[[], Model]] = field(factory=dict)
    prompts: dict[str, str] = field(factory=dict)
    keys: dict[str, Callable[..., Any]] = field(factory=dict)
    _undo: list[Callable[[], object]] = field(factory=list)

    def tool(self, function: Callable[..., Any] | Tool) -> Tool:
        """Give the agent a tool; one of the same name is replaced."""
        made = function if isinstance(function, Tool) else tool(function)
        before = self.agent.tools
        self.agent.tools = [*(one for one in before if one.name != made.name), made]
        replaced = [one for one in before if one.name == made.name]
        self._undo.append(lambda: self._take_away(made, replaced))
        return made

    def _take_away(self, made: Tool, replaced: list[Tool]) -> None:
        self.agent.tools = [*(one for one in self.agent.tools if one is not made), *replaced]

    def hook(
        self, point: HookPoint, *, name: str | None = None, depth: int = 0
    ) -> Callable[[F], F]:
        """Put the decorated function at a point; see `tether.hooks`."""

        def add(function: F) -> F:
            self.agent.hooks.add(point, function, name=name, depth=depth)
            self._undo.append(lambda: self.agent.hooks.remove(point, name or function))
            return function

        return add

    def around_tool(self, advice: AroundTool) -> AroundTool:
        """Put the decorated function around every tool call."""
        return self.hook("around_tool")(advice)

    def around_model(self, advice: AroundModel) -> AroundModel:
        """Put the decorated function around every request."""
        return self.hook("around_model")(advice)

    def command(
        self,
        name: str | None = None,
        *,
        help: str | None = None,
        complete: Mapping[str, Complete] | None = None,
        raw: bool = False,
    ) -> Callable[[F], F]:
        """Make the decorated function a command; see `Commands.command`."""

        def add(function: F) -> F:
            before = list(self.commands)
            self.commands.command(name, help=help, complete=complete, raw=raw)(function)
            [made] = [one for one in self.commands if one not in before]
            replaced = [one for one in before if one.name == made.name]
            self._undo += [lambda one=one: self.commands.add(one) for one in replaced]  # type: ignore[misc]  # bound now
            self._undo.append(lambda: self.commands.remove(made.name))
            return function

        return add

    def model(self, name: str) -> Callable[[F], F]:
        """Make the decorated function the maker of a model that people can name."""
        return self._entry(self.models, name)

    def key(self, key: str) -> Callable[[F], F]:
        """Have the decorated function called with the conversation when a key is pressed.

        Args:
            key: as prompt-toolkit writes it: `c-t`, `f2`, `escape enter`.
        """
        return self._entry(self.keys, key)

    def prompt(self, name: str, text: str) -> None:
        """Keep a text that people say by its name, as `/name`; what stands behind the name is added to it."""
        self._entry(self.prompts, name)(text)

    def prompted(self, line: str) -> str | None:
        """Find the text that a line asks for by its name.

        Returns:
            It, with what stands behind the name; None where the line begins with no such name.
        """
        name, _, more = line.strip().partition(" ")
        if name not in self.prompts:
            return None
        return f"{self.prompts[name]} {more.strip()}".rstrip()

    def _entry(self, entries: dict[str, Any], name: str) -> Callable[[Any], Any]:
        def add(entry: Any) -> Any:
            before = dict(entries)
            entries[name] = entry
            if name in before:
                self._undo.append(lambda: entries.setdefault(name, before[name]))
            self._undo.append(lambda: entries.pop(name, None))
            return entry

        return add

    def model_named(self, name: str, **settings: Any) -> Model:
        """Make a model of its name, one of an extension's first.

        Raises:
            UnknownModelError: nobody knows it.
        """
        if name in self.models:
            return self.models[name]()
        try:
            return model_from_name(name, **settings)
        except UnknownModelError as error:
            own = (
                f"; of one's own there are: {', '.join(sorted(self.models))}" if self.models else ""
            )
            raise UnknownModelError(f"{error}{own}") from None

    def forget(self) -> None:
        """Take back what extensions have added, the last first."""
        while self._undo:
            _ = self._undo.pop()()


class Trust:
    """Which projects' init files a person has said may be run. Remembered in a file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def allows(self, init: Path) -> bool:
        """Say whether a file may be run, as it is now."""
        return self._known().get(str(init.resolve())) == _digest(init)

    def remember(self, init: Path) -> None:
        """Trust a file, as it is now."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        known = {**self._known(), str(init.resolve()): _digest(init)}
        self._path.write_text(json.dumps(known, indent=2))

    def _known(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return known


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_extensions(
    app: App,
    *,
    folder: Path,
    project: Path,
    ask: Callable[[Path], bool],
    tell: Callable[[str], None],
) -> None:
    """Load what extends the command: packages, then a person's own init file, then the project's.

    Args:
        app: what they are given.
        folder: the configuration folder.
        project: where the project is.
        ask: whether a project's init file may be run; asked until it is allowed, and again when it has changed.
        tell: says what went wrong, with its traceback.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - it reads files

    for point in entry_points(group=GROUP):
        with _told(f"the extension {point.name}", tell):
            point.load()(app)
    _run(folder / "init.py", app, tell)
    own = project / ".tether" / "init.py"
    if not own.is_file() or own.resolve() == (folder / "init.py").resolve():
        return
    trust = Trust(folder / "trusted.json")
    if not trust.allows(own):
        if not ask(own):
            return
        trust.remember(own)
    _run(own, app, tell)


def _run(init: Path, app: App, tell: Callable[[str], None]) -> None:
    if init.is_file():
        with _told(str(init), tell):
            runpy.run_path(str(init), init_globals={"app": app}, run_name="tether_init")


@contextmanager
def _told(what: str, tell: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the person's own code
        lines = traceback.format_exception(error)
        tell(f"{what} failed, and is loaded as far as it got:\n{''.join(lines).rstrip()}")
