"""Named commands with typed arguments: what a person calls by a line of text, and a program by name.

    commands = Commands()

    @commands.command("fork")
    async def fork(entry: str, keep: Literal["all", "none"] = "all") -> str:
        '''Go back to an earlier entry.

        Args:
            entry: where to
            keep: what to take along
        '''

    await commands.run('fork 3f2a --keep none')

Help, checks and completion come from the signature and the docstring, as for tools. Words are split as a shell does;
parameters are given by place, or by name as `--keep none`; `*words: str` takes all that is left, and a flag (`bool`)
needs no value. A parameter annotated with the registry's context type is given the context of the call.

No I/O.
"""  # noqa: D214 - the section is the example's

import difflib
import inspect
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from attrs import evolve, field, frozen

from tether._schema.callables import hints_of
from tether._schema.classes import EMPTY, Field
from tether._schema.docstrings import documentation_of
from tether._schema.specs import ObjectSpec
from tether.errors import ArgumentsError, UsageError
from tether.hooks import call_maybe_async, takes_two

__all__ = ("Command", "CommandParameter", "Commands", "Complete", "command_of", "split_words")

F = TypeVar("F", bound=Callable[..., Any])

Complete: TypeAlias = Callable[[str], Sequence[str]] | Callable[[str, Any], Sequence[str]]
"""Is given what was typed of a word so far (and the context, if it takes two), and says what it may become."""

_UNIONS: Final = {Union, UnionType}
_LONGEST_NAME: Final = 80
"""Characters that an error repeats of a name, and looks for close ones to: a word may have millions."""
_MOST_MEANT: Final = 10
_MOST_SPLIT: Final = 20_000
"""Characters of words that are split; `shlex` takes the square of their number."""


@frozen
class CommandParameter:
    """A parameter of a command."""

    name: str
    type: Any
    default: Any = EMPTY
    description: str = ""
    takes_rest: bool = False
    """It takes all words that are left."""
    complete: Complete | None = field(default=None, repr=False)

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is EMPTY and not self.takes_rest

    @property
    def is_flag(self) -> bool:
        """Whether its name alone says all."""
        return self.type is bool

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it may be, where they are few."""
        return tuple(_choices(self.type))

    @property
    def usage(self) -> str:
        """How it stands in a line of help."""
        if self.takes_rest:
            return f"[{self.name} ...]"
        name = "|".join(self.choices) if self.choices and not self.is_flag else self.name
        if self.is_flag:
            return f"[--{self.name.replace('_', '-')}]"
        return name if self.required else f"[{name}]"


@frozen
class Command:
    """A command."""

    name: str
    function: Callable[..., Any]
    help: str
    """One line."""
    description: str = ""
    """All there is to say."""
    parameters: tuple[CommandParameter, ...] = ()
    context_parameter: str | None = None
    raw: bool = False
    """All that stands behind the name goes to its one parameter as it is."""
    hint: str = ""
    """How its words are shown, in place of the names of its parameters."""

    @property
    def words(self) -> str:
        """How the words behind its name are shown; empty where it takes none."""
        return self.hint or " ".join(parameter.usage for parameter in self.parameters)

    @property
    def usage(self) -> str:
        """How it is called."""
        return f"{self.name} {self.words}".rstrip()

    def bind(self, words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
        """Check the words of a call.

        Args:
            words: what stands behind the command's name.

        Returns:
            What goes to a parameter for all words that are left, and the others by name.

        Raises:
            UsageError: they do not fit; the text names every fault, and how the command is called.
        """
        try:
            given, rest = self._sorted(words)
            plain = [p for p in self.parameters if not p.takes_rest]
            fields = [Field(p.name, p.type, required=p.required) for p in plain]
            return rest, ObjectSpec(fields).check(given)
        except ArgumentsError as error:
            raise UsageError(f"{error} (usage: {self.usage})") from error

    def _sorted(self, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        named = {p.name.replace("_", "-"): p for p in self.parameters if not p.takes_rest}
        places = iter(p for p in self.parameters if not (p.is_flag or p.takes_rest))
        takes_rest = any(p.takes_rest for p in self.parameters)
        given: dict[str, Any] = {}
        rest: list[str] = []
        waiting = iter(words)
        for word in waiting:
            name, equals, value = word.removeprefix("--").partition("=")
            if word.startswith("--") and name in named and not rest:
                parameter = named[name]
                if parameter.is_flag and not equals:
                    given[parameter.name] = True
                elif (said := value if equals else next(waiting, None)) is None:
                    raise ArgumentsError([f"--{name} wants a value"])
                else:
                    given[parameter.name] = said
                continue
            place = next((p for p in places if p.name not in given), None)
            if place is not None:
                given[place.name] = word
            elif takes_rest:
                rest.append(word)
            else:
                raise ArgumentsError([f"{word!r} is one word too many"])
        return given, rest

    def complete(self, words: Sequence[str], context: object = None) -> Sequence[str]:
        """Say what the last word may become.

        Args:
            words: what stands behind the command's name; the last is still being typed, perhaps empty.
            context: what a call would be given.

        Returns:
            Whole words, in order.
        """
        *before, last = words
        flags = [f"--{p.name.replace('_', '-')}" for p in self.parameters if not p.takes_rest]
        if last.startswith("-"):
            return [flag for flag in flags if flag.startswith(last)]
        if before and before[-1] in flags:
            named = {f"--{p.name.replace('_', '-')}": p for p in self.parameters}
            if not named[before[-1]].is_flag:
                return _completed(named[before[-1]], last, context)
        by_place = [p for p in self.parameters if not p.is_flag]
        spoken = len([word for word in before if not word.startswith("--")])
        if not by_place:
            return []
        place = min(spoken, len(by_place) - 1)
        if place != spoken and not by_place[-1].takes_rest:
            return []
        return _completed(by_place[place], last, context)


class Commands:
    """Commands by name.

    Args:
        context_type: a parameter annotated with it is given the context of the call, and is none of the command's.
    """

    def __init__(self, context_type: type = NoneType) -> None:
        self._context_type = context_type
        self._commands: dict[str, Command] = {}

    def command(
        self,
        name: str | None = None,
        *,
        help: str | None = None,
        complete: Mapping[str, Complete] | None = None,
        raw: bool = False,
        hint: str = "",
    ) -> Callable[[F], F]:
        """Make the decorated function a command; one of the same name is replaced.

        Args:
            name: what it is called; the function's name if None.
            help: one line; the first of the docstring if None.
            complete: how words for its parameters are completed, by their names.
            raw: give all that stands behind the name to its one parameter as it is, quotes and all.
            hint: how its words are shown, in place of the names of its parameters.

        Returns:
            A decorator that returns the function as it is.
        """

        def add(function: F) -> F:
            self.add(evolve(self._made(function, name, help, complete or {}), raw=raw, hint=hint))
            return function

        return add

    def add(self, command: Command) -> None:
        """Add a command; one of the same name is replaced."""
        self._commands[command.name] = command

    def remove(self, name: str) -> Command:
        """Take a command away.

        Raises:
            UsageError: there is none of that name.
        """
        return self._commands.pop(self[name].name)

    def __getitem__(self, name: str) -> Command:
        """Find a command by its name, or by a beginning that only it has.

        Raises:
            UsageError: there is none; the text has the closest names.
        """
        if name in self._commands:
            return self._commands[name]
        begun = [command for known, command in self._commands.items() if known.startswith(name)]
        if name and len(begun) == 1:
            return begun[0]
        brief = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        close = [c.name for c in begun] or difflib.get_close_matches(brief, self._commands, n=3)
        hint = f"; did you mean {' or '.join(close[:_MOST_MEANT])}?" if name and close else ""
        raise UsageError(f"there is no command {brief!r}{hint}")

    def __iter__(self) -> Iterator[Command]:
        return iter(sorted(self._commands.values(), key=lambda command: command.name))

    def __len__(self) -> int:
        return len(self._commands)

    def __contains__(self, name: object) -> bool:
        return name in self._commands

    async def run(self, line: str, context: object = None) -> Any:
        """Run a command by a line of text.

        Args:
            line: its name, and the words for its parameters.
            context: what a parameter of the context type is given.

        Returns:
            What the function returns.

        Raises:
            UsageError: there is no such command, or the words do not fit.
            Exception: what the function raises.

        Cancellation:
            Inside the function, where that awaits.
        """
        name, text = [*line.split(None, 1), "", ""][:2]
        command = self[name]
        words = [text.strip()] if command.raw and text.strip() else split_words(text)
        rest, arguments = command.bind(words)
        if command.context_parameter is not None:
            arguments[command.context_parameter] = context
        before = _given_before(command.function, arguments) if rest else []
        return await call_maybe_async(lambda: command.function(*before, *rest, **arguments))

    def complete(self, line: str, context: object = None) -> Sequence[str]:
        """Say what the last word of a line may become: a command's name, or a word for a parameter.

        Args:
            line: what was typed so far.
            context: as for `run`; given to functions that complete words and take it.
        """
        words = line.split(" ")
        if len(words) == 1:
            return [command.name for command in self if command.name.startswith(words[0])]
        try:
            before = [word for word in words[1:-1] if word]
            return self[words[0]].complete([*before, words[-1]], context)
        except UsageError:
            return []

    def help(self, name: str | None = None) -> str:
        """Tell of all commands in a line each, or all there is to say of one.

        Raises:
            UsageError: there is none of that name.
        """
        if name is None:
            width = max((len(command.usage) for command in self), default=0)
            return "\n".join(f"{c.usage:{min(width, 40)}}  {c.help}" for c in self)
        command = self[name]
        about = [f"  {p.name}: {p.description}" for p in command.parameters if p.description]
        return "\n".join([command.usage, "", command.description or command.help, *about]).rstrip()

    def _made(
        self,
        function: Callable[..., Any],
        name: str | None,
        told: str | None,
        complete: Mapping[str, Complete],
    ) -> Command:
        about = documentation_of(function)
        hints = hints_of(function)
        context: str | None = None
        parameters: list[CommandParameter] = []
        for parameter in inspect.signature(function).parameters.values():
            hint = hints.get(parameter.name, str)
            if self._context_type is not NoneType and hint is self._context_type:
                context = parameter.name
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                raise UsageError(f"a command cannot take **{parameter.name}")
            parameters.append(
                CommandParameter(
                    parameter.name,
                    hint,
                    parameter.default,
                    about.parameters.get(parameter.name, ""),
                    parameter.kind is parameter.VAR_POSITIONAL,
                    complete.get(parameter.name),
                )
            )
        own = name or function.__name__.replace("_", "-")
        first = about.description.partition("\n")[0]
        command = Command(
            own, function, told or first, about.description, tuple(parameters), context
        )
        _check(command)
        return command


def command_of(line: str, commands: Commands, known: str) -> Command:
    """Find the command that a line calls where a line that begins with a space is said as it is.

    Args:
        line: the command's name, and its words.
        commands: those that there are.
        known: a sentence that says which there are, without its full stop.

    Raises:
        UsageError: there is none of that name; the text says what a person can type.
    """
    try:
        return commands[next(iter(line.split()), "")]
    except UsageError as error:
        stop = "" if str(error).endswith("?") else "."
        raise UsageError(
            f"{error}{stop} {known}. A line that begins with a space is no command"
        ) from error


def split_words(text: str) -> list[str]:
    """Split a text into words as a shell does.

    Raises:
        UsageError: a quote is not closed, or there are more than 20,000 characters.
    """
    if len(text) > _MOST_SPLIT:
        raise UsageError(f"the words behind a command are longer than {_MOST_SPLIT:,} characters")
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{text!r} cannot be read: {str(error).lower()}") from error


def _check(command: Command) -> None:
    """Find out now, and not when it is called, whether its parameters can be made of words."""
    if not command.name.replace("-", "").replace(":", "").isalnum():
        raise UsageError(
            f"{command.name!r} cannot be the name of a command: use letters, digits, - and :"
        )
    for parameter in command.parameters:
        try:
            ObjectSpec([Field(parameter.name, parameter.type, required=True)])
        except TypeError as error:
            raise UsageError(
                f"{command.name}: {parameter.name!r} cannot be made of words: {error}"
            ) from error


def _given_before(function: Callable[..., Any], arguments: dict[str, Any]) -> list[Any]:
    """Take out of the arguments those that stand before the one for all words that are left."""
    before: list[Any] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            break
        before.append(arguments.pop(name, parameter.default))
    return before


def _completed(parameter: CommandParameter, last: str, context: object) -> Sequence[str]:
    complete: Callable[..., Sequence[str]] | None = parameter.complete
    if complete is None:
        words: Sequence[str] = parameter.choices
    else:
        words = complete(last, context) if takes_two(complete) else complete(last)
    return [word for word in words if word.startswith(last)]


def _choices(hint: Any) -> Iterator[str]:
    origin = get_origin(hint)
    if origin is Literal:
        yield from (str(choice) for choice in get_args(hint))
    elif origin in _UNIONS or origin is Annotated:
        for member in get_args(hint)[: 1 if origin is Annotated else None]:
            yield from _choices(member)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        yield from (str(member.value) for member in hint)
    elif hint is bool:
        yield from ("true", "false")
