"""Extensions: a person's init file, the project's, and installed packages, all given the same `app`.

    # init.py in the configuration folder
    @app.tool
    def today() -> str:
        '''Return today's date.'''
        return date.today().isoformat()

    @app.hook("before_tool")
    def no_secrets(invocation): ...

An error in one is shown with its traceback, and the others still load. A project's `.tether/init.py` runs only after a
person has allowed it; when the file changes, they are asked again.
"""

import json
import os
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ForwardRef, TypeVar

from attrs import define, field

from tether import (
    Agent,
    Commands,
    Model,
    Tool,
    UnknownModelError,
    UsageError,
    model_from_name,
    tool,
)
from tether.cli.context.gathering import Context, files_of_project
from tether.cli.context.places import shown
from tether.cli.context.system import SystemPrompt, joined_sections
from tether.cli.default_model import address_from
from tether.cli.door import visible
from tether.cli.init_files import digest, run_init_file
from tether.cli.kept_json import write_kept
from tether.cli.question import Question
from tether.commands import Complete
from tether.hooks import AroundModel, AroundRun, AroundTool, HookPoint

if TYPE_CHECKING:
    from tether.mcp import Servers
else:  # `typing.get_type_hints` imports it
    Servers = ForwardRef("import_module('tether.mcp').Servers", module="importlib")

__all__ = ("App",)

GROUP: Final = "tether.extensions"
"""The entry-point group of packages that extend the command: each names a function that takes the app."""

_MOST_NAMED: Final = 8

F = TypeVar("F", bound=Callable[..., Any])


def configuration_folder() -> Path:
    """Return the folder of a person's own files: TETHER_CONFIG_HOME, or the platform's folder for configuration."""
    if home := os.environ.get("TETHER_CONFIG_HOME"):
        return Path(home)
    import platformdirs  # noqa: PLC0415 - not needed where the variable is set

    return platformdirs.user_config_path("tether", appauthor=False)


@define(eq=False)
class App:
    """What an extension may change: the agent, and the commands, models, prompts and keys of a conversation.

    Attributes:
        agent: the agent.
        commands: commands by name.
        models: functions that make a model, by the model's name.
        prompts: texts by name.
        keys: functions by key.
        aliases: names of models, by the short names that a person has given them.
        base_url: the address of the server of models that are named; that of each provider if None.
        servers: the MCP servers, once they are connected.
        system: what the person wants the system prompt to be.
        context: what the folder and the person bring for the agent, once it is gathered.
        ask: puts a question to the person while a run goes on; None where there is nobody to ask.
        trusted: the files that may be used in this process, with the digest of what was in them: for where this
            cannot be written down.
    """

    agent: Agent
    commands: Commands = field(factory=Commands)
    models: dict[str, Callable[[], Model]] = field(factory=dict)
    prompts: dict[str, str] = field(factory=dict)
    keys: dict[str, Callable[..., Any]] = field(factory=dict)
    trusted: dict[str, str] = field(factory=dict)
    aliases: Mapping[str, str] = field(factory=dict)
    base_url: str | None = None
    servers: "Servers | None" = None
    system: SystemPrompt = field(factory=SystemPrompt)
    context: Context | None = None
    ask: Callable[[Question], Awaitable[str]] | None = None
    _undo: list[Callable[[], object]] = field(factory=list)
    _first_system: str = field(init=False)
    """The system prompt before anything was put behind it."""

    def __attrs_post_init__(self) -> None:
        self._first_system = self.agent.system or ""

    def tool(self, function: Callable[..., Any] | Tool) -> Tool:
        """Give the agent a tool, which replaces one of the same name.

        Args:
            function: a tool, or a function to make one of.

        Returns:
            The tool.
        """
        made = function if isinstance(function, Tool) else tool(function)
        before = self.agent.tools
        self.agent.tools = [*(one for one in before if one.name != made.name), made]
        replaced = [one for one in before if one.name == made.name]
        self._undo.append(lambda: self._take_away(made, replaced))
        return made

    def _take_away(self, made: Tool, replaced: list[Tool]) -> None:
        self.agent.tools = [*(one for one in self.agent.tools if one is not made), *replaced]

    def instruct(self, text: str) -> None:
        """Put a text behind the agent's system prompt; an empty one changes nothing."""
        before = self.agent.system
        self.agent.system = joined_sections([before or "", text]) or None
        self._undo.append(lambda: setattr(self.agent, "system", before))

    def system_in(self, folder: Path) -> str | None:
        """Write the system prompt for another folder; where an extension has set one of its own, that stays."""
        now = self.agent.system or ""
        if not now.startswith(self._first_system):
            return now
        return f"{self.system.in_folder(folder)}{now[len(self._first_system) :]}" or None

    def hook(
        self, point: HookPoint, *, name: str | None = None, depth: int = 0
    ) -> Callable[[F], F]:
        """Return a decorator that adds a function as a hook; see `tether.hooks` for points, names and depths."""

        def add(function: F) -> F:
            self.agent.hooks.add(point, function, name=name, depth=depth)
            self._undo.append(lambda: self.agent.hooks.remove(point, name or function))
            return function

        return add

    def around_run(self, function: AroundRun) -> AroundRun:
        """Wrap every run, those of child agents included, in the decorated function."""
        return self.hook("around_run")(function)

    def around_tool(self, function: AroundTool) -> AroundTool:
        """Wrap every tool call in the decorated function."""
        return self.hook("around_tool")(function)

    def around_model(self, function: AroundModel) -> AroundModel:
        """Wrap every model request in the decorated function."""
        return self.hook("around_model")(function)

    def command(
        self,
        name: str | None = None,
        *,
        help: str | None = None,
        complete: Mapping[str, Complete] | None = None,
        raw: bool = False,
        hint: str = "",
    ) -> Callable[[F], F]:
        """Return a decorator that makes a function a slash command; see `Commands.command`."""

        def add(function: F) -> F:
            before = list(self.commands)
            add_command = self.commands.command(
                name, help=help, complete=complete, raw=raw, hint=hint
            )
            add_command(function)
            [made] = [one for one in self.commands if one not in before]
            replaced = [one for one in before if one.name == made.name]
            self._undo += [lambda one=one: self.commands.add(one) for one in replaced]  # type: ignore[misc]  # bound now
            self._undo.append(lambda: self.commands.remove(made.name))
            return function

        return add

    def model(self, name: str) -> Callable[[F], F]:
        """Return a decorator for a function without arguments that makes the model of this name."""
        return self._entry(self.models, name)

    def key(self, key: str) -> Callable[[F], F]:
        """Return a decorator that binds a key to a function, which is called with the `Conversation`.

        Args:
            key: in the notation of prompt-toolkit: `c-t`, `f2`, `escape enter`.
        """
        return self._entry(self.keys, key)

    def prompt(self, name: str, text: str) -> None:
        """Add a text that people send by typing `/name`; further words are appended to the text."""
        self._entry(self.prompts, name)(text)

    def prompted(self, line: str) -> str | None:
        """Find the prompt that a line names.

        Args:
            line: what was typed after the slash.

        Returns:
            Its text, with the line's further words; None if the line begins with no prompt's name.
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

    def model_named(self, name: str) -> Model:
        """Make the model of a name; the models of extensions come first.

        Args:
            name: a name of an extension's model, or `provider:model`, which is at `base_url`.

        Returns:
            The model.

        Raises:
            UnknownModelError: there is no such model.
        """
        if name in self.models:
            return self.models[name]()
        name = self.aliases.get(name, name)
        try:
            return model_from_name(name, base_url=self.base_url)
        except UnknownModelError as error:
            own = f"; models of extensions: {', '.join(sorted(self.models))}" if self.models else ""
            raise UnknownModelError(f"{error.message}{own}") from None

    def use_model(self, name: str, address: str | None = None) -> None:
        """Let the agent use another model.

        Args:
            name: see `model_named`.
            address: where it is, and where models are that are named later; `default` for the provider's own address.
                If None, that stays as it is.

        Raises:
            UsageError: there is no such model, or the address is none; all is as it was.
        """
        before = self.base_url
        if address is not None:
            self.base_url = address_from(address)
        try:
            self.agent.model = self.model_named(name)
        except UsageError:
            self.base_url = before
            raise

    def add_undo(self, undo: Callable[[], object]) -> None:
        """Have something done when what extensions have added is removed."""
        self._undo.append(undo)

    def forget(self) -> None:
        """Remove everything that extensions have added, the last first."""
        while self._undo:
            _ = self._undo.pop()()


class Trust:
    """The files of projects that a person has allowed to be used, kept in a file.

    Args:
        path: the file.
        here: what is trusted in this process, whether it is in the file or not.
    """

    def __init__(self, path: Path, here: dict[str, str]) -> None:
        self._path = path
        self._here = here

    def allows(self, init: Path) -> bool:
        """Say whether a file may be used, with its present content."""
        known = {**self._known(), **self._here}
        return known.get(str(init.resolve())) == _digest(init)

    def remember(self, *files: Path) -> None:
        """Allow files, with their present content.

        Raises:
            OSError: this cannot be written down; they are allowed in this process.
        """
        self._here.update({str(file.resolve()): _digest(file) for file in files})
        write_kept(self._path, {**self._known(), **self._here})

    def _known(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return known


def _digest(path: Path) -> str:
    try:
        return digest(path)
    except OSError:
        return "unreadable"  # nothing of it is used, and once it can be read it is another


def load_extensions(
    app: App,
    *,
    folder: Path,
    project: Path,
    ask: Callable[[Sequence[Path]], bool],
    tell: Callable[[str], None],
) -> bool:
    """Load extensions: packages, then a person's own init file, then the project's.

    Args:
        app: given to each.
        folder: the configuration folder.
        project: the folder of the project.
        ask: whether the files that the project brings may be used; called with those that are not allowed yet, or have
            changed.
        tell: prints an error with its traceback.

    Returns:
        Whether a person has allowed what the project brings; False where it brings nothing.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - it reads files

    for point in entry_points(group=GROUP):
        with errors_told(f"the extension {point.name}", tell):
            point.load()(app)
    _run(folder / "init.py", app, tell, folder)
    brought = files_of_project(project, folder)
    if not brought:
        return False
    if asked := untrusted_files(app, folder=folder, project=project):
        if not ask(asked):
            return False
        try:
            trust_of(app, folder).remember(*asked)
        except OSError as error:
            tell(f"{error}; {listed(asked, project)} are trusted until you leave")
    init = project / ".tether" / "init.py"
    if init in brought:
        _run(init, app, tell, folder)
    return True


def untrusted_files(app: App, *, folder: Path, project: Path) -> Sequence[Path]:
    """Find the files of a project that a person has not allowed to be used with their present content.

    Args:
        app: what is trusted in this process.
        folder: the configuration folder.
        project: the folder of the project.

    Returns:
        The files; none if there is nothing to ask about.
    """
    trust = trust_of(app, folder)
    return [file for file in files_of_project(project, folder) if not trust.allows(file)]


def trust_of(app: App, folder: Path) -> Trust:
    """Return what is trusted, as the configuration folder and this process know it."""
    return Trust(folder / "trusted.json", app.trusted)


def listed(files: Sequence[Path], folder: Path) -> str:
    """Name files in a line; of many, the first."""
    names = [shown(file, folder) for file in files[:_MOST_NAMED]]
    more = len(files) - len(names)
    last = [f"{more} more"] if more else names[-1:]
    first = names if more else names[:-1]
    return visible(" and ".join([", ".join(first), *last] if first else last))


def _run(init: Path, app: App, tell: Callable[[str], None], folder: Path) -> None:
    if init.is_file():
        with errors_told(str(init), tell):
            app.add_undo(run_init_file(init, app, tell, folder))


@contextmanager
def errors_told(what: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Tell the errors of a person's own code, with their traceback."""
    try:
        yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the person's own code
        lines = traceback.format_exception(error)
        tell(f"{what} failed; what it did before the error stays:\n{''.join(lines).rstrip()}")
