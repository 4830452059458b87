"""Rules that say which tool calls run, which are asked about, and which do not run.

    allow run_command: git *
    ask   run_command: git push *
    deny  write_file: *.env

A rule names a tool, in which `*` stands for any text, and may have a pattern behind a colon. The pattern is compared
with the call's `command`, `path` or `url`, or with the argument that is named before a `=`: `send: to=*@example.com`.

Commands are read as a shell reads them. A rule that allows covers a command only if it is nothing but simple commands
and each of them is allowed: no `$`, substitution, subshell or redirection to a file. A rule that denies or asks covers
a command if any part of it fits. Of the rules that fit, one that denies wins; between the others, the most specific.

No I/O, but for a look at where a path leads.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast, get_args

from attrs import define, field, frozen

from tether import Deny, Invocation, ToolCall, ToolResult, UsageError
from tether.advice.shell_commands import Script, read_script, words_as_text
from tether.approvals import Approve, approval
from tether.hooks import AroundTool, ProceedTool

__all__ = ("Decision", "Rule", "Rules", "Ruling", "approval_by_rules")

Decision: TypeAlias = Literal["allow", "ask", "deny"]

_RULE: Final = re.compile(
    r"\s*(\w+)\s+([^\s:]+)\s*(?::\s*(?:([A-Za-z_]\w*)=)?(.*?))?\s*", re.DOTALL
)
_COMMANDS: Final = frozenset({"command", "cmd", "script", "shell"})
"""Arguments that a shell is given."""
_PATHS: Final = frozenset({"path", "file_path", "file", "folder"})
_SUBJECTS: Final = ("command", "path", "file_path", "url")
"""The arguments that a pattern is about, where it names none."""


@frozen
class Rule:
    """One rule."""

    decision: Decision
    tool: str
    """The tool's name; `*` stands for any text."""
    pattern: str | None = None
    """What the call's argument must be like; None for all calls of the tool."""
    argument: str | None = None
    """Which argument; None for the one that such a tool is about."""

    @classmethod
    def parse(cls, line: str) -> "Rule":
        """Read a rule.

        Args:
            line: such as `allow run_command: git *`.

        Returns:
            The rule.

        Raises:
            UsageError: it is none; the text says what is wrong.
        """
        found = _RULE.fullmatch(line)
        if found is None or found[1] not in get_args(Decision):
            raise UsageError(
                f"{line.strip()!r} is not a rule: write allow, ask or deny, a tool, and perhaps a pattern, "
                "such as `allow run_command: git *`"
            )
        pattern = found[4]
        if pattern is not None:
            pattern = _tidy(pattern)
            if not pattern:
                raise UsageError(f"the pattern of {line.strip()!r} is empty; leave out the colon")
        return cls(cast("Decision", found[1]), found[2], pattern, found[3])

    def __str__(self) -> str:
        """Write it as it is read."""
        if self.pattern is None:
            return f"{self.decision} {self.tool}"
        argument = f"{self.argument}=" if self.argument else ""
        return f"{self.decision} {self.tool}: {argument}{self.pattern}"

    @property
    def specificity(self) -> tuple[bool, int, int]:
        """Grows with how much it says: whether it has a pattern, then how many characters are literal."""
        pattern = self.pattern or ""
        return (
            self.pattern is not None,
            len(pattern) - pattern.count("*"),
            len(self.tool) - self.tool.count("*"),
        )


def _tidy(pattern: str) -> str:
    """Write the words of a pattern as those of commands are written."""
    script = read_script(pattern)
    if script.obstacle or not script.is_readable or len(script.commands) > 1:
        return " ".join(pattern.split())
    return words_as_text(script.commands[0]) if script.commands else pattern.strip()


@frozen
class Ruling:
    """What rules say of a call."""

    decision: Decision
    rule: Rule | None
    """The rule that decides; None where it cannot be known if one that denies or asks fits."""

    @property
    def is_uncertain(self) -> bool:
        """Whether it cannot be known if a rule that denies or asks fits."""
        return self.rule is None


@frozen
class Rules:
    """Several rules.

    Args:
        rules: the rules, in any order.
        folder: what paths in calls are relative to.
    """

    rules: tuple[Rule, ...] = field(default=(), converter=tuple[Rule, ...])
    folder: Path = field(factory=Path.cwd)

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> "Rules":
        """Read rules, one a line; empty lines and those that begin with `#` are passed over.

        Raises:
            UsageError: a line is no rule; the text has its number.
        """
        return cls(parsed_rules(text), folder or Path.cwd())

    def decide(self, call: ToolCall) -> Ruling | None:
        """Say what the rules say of a call.

        Args:
            call: the call.

        Returns:
            The decision and the rule; None where no rule says anything.
        """
        about = [rule for rule in self.rules if _like(rule.tool, call.name)]
        looked = _Call(call, self.folder)
        if denied := _most_specific(r for r in about if r.decision == "deny" and looked.fits(r)):
            return Ruling("deny", denied)
        others = [rule for rule in about if rule.decision != "deny"]
        parts = [
            _most_specific(rule for rule in others if looked.part_fits(rule, part))
            for part in looked.parts()
        ]
        if asking := _most_specific(rule for rule in parts if rule and rule.decision == "ask"):
            return Ruling("ask", asking)
        if any(rule.decision != "allow" and looked.is_uncertain(rule) for rule in about):
            return Ruling("ask", None)
        if parts and None not in parts:
            return Ruling("allow", _most_specific(filter(None, parts)))
        return None


def parsed_rules(text: str) -> tuple[Rule, ...]:
    """Read rules; see `Rules.parse`."""
    found: list[Rule] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(Rule.parse(line))
            except UsageError as error:
                raise UsageError(f"line {number}: {error}") from None
    return tuple(found)


def approval_by_rules(rules: Rules | Callable[[], Rules], ask: Approve) -> AroundTool:
    """Make a hook around tools that decides by rules, and asks where they do not.

    Args:
        rules: the rules, or a function that returns those of the moment.
        ask: is asked about calls that a rule asks about, and about those that no rule allows or denies. What it
            answers with `always` does not hold against a rule that denies.

    Returns:
        The hook, for `agent.around_tool`.

    Cancellation:
        Ends the wait for an answer.
    """
    asking = approval(ask)

    async def by_rules(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        now = rules() if callable(rules) else rules
        match now.decide(invocation.call):
            case Ruling("deny") as ruling:
                return Deny(f"the rule `{ruling.rule}` forbids it").result()
            case Ruling("allow"):
                return await proceed(invocation)
            case _:
                return await asking(invocation, proceed)

    return by_rules


Words: TypeAlias = tuple[str, ...]


@define
class _Call:
    """A call that is being looked at; a command in it is read once."""

    call: ToolCall
    folder: Path
    _scripts: dict[str, Script] = field(factory=dict)

    def parts(self) -> Sequence[Words | None]:
        """Split it into what has to be allowed: the simple commands of a command; else None for the whole."""
        name, value = self._subject(None)
        return self._script(value).commands if name in _COMMANDS and value else [None]

    def part_fits(self, rule: Rule, part: Words | None) -> bool:
        """Say whether a rule is about a part."""
        name, value = self._subject(rule)
        is_about_part = part is not None and name == self._subject(None)[0]
        if not is_about_part or value is None or rule.pattern is None or rule.decision != "allow":
            return self.fits(rule)
        return self._script(value).is_plain and _like(rule.pattern, words_as_text(part or ()))

    def fits(self, rule: Rule) -> bool:
        """Say whether a rule is about the call: all of it if the rule allows, any part of it otherwise."""
        name, value = self._subject(rule)
        if rule.pattern is None or value is None:
            return rule.pattern is None
        allows = rule.decision == "allow"
        if name in _COMMANDS:
            script = self._script(value)
            found = script.commands if allows else (*script.commands, *script.started)
            fitting = [_like(rule.pattern, words_as_text(words)) for words in found]
            return script.is_plain and bool(found) and all(fitting) if allows else any(fitting)
        if name in _PATHS:
            paths = _paths(value, self.folder)
            fitting = [_like_path(rule.pattern, path, exactly=allows) for path in paths]
            return all(fitting) if allows else any(fitting)
        if allows:
            return _like(rule.pattern, value)
        return _like(rule.pattern.casefold(), value.casefold())

    def is_uncertain(self, rule: Rule) -> bool:
        """Say whether it cannot be known if a rule about commands fits."""
        name, value = self._subject(rule)
        is_about_commands = rule.pattern is not None and name in _COMMANDS and value is not None
        return is_about_commands and not self._script(value or "").is_readable

    def _subject(self, rule: Rule | None) -> tuple[str, str | None]:
        """Find the argument that a rule is about: its name, and what it is; None where the call has none."""
        arguments = self.call.arguments
        own = next((name for name in _SUBJECTS if name in arguments), "")
        name = rule.argument if rule is not None and rule.argument else own
        value = arguments.get(name)
        return name, value if value is None or isinstance(value, str) else str(value)

    def _script(self, text: str) -> Script:
        if text not in self._scripts:
            self._scripts[text] = read_script(text)
        return self._scripts[text]


def _paths(value: str, folder: Path) -> Iterator[str]:
    """Write a path as it is named, and as it is where links are followed: relative to the folder, if it is inside."""
    named = os.path.normpath(folder / value)
    real_folder = os.path.realpath(folder)
    for path, base in ((named, os.path.normpath(folder)), (os.path.realpath(named), real_folder)):
        inside = Path(path).is_relative_to(base)
        yield Path(os.path.relpath(path, base) if inside else path).as_posix()


def _like_path(pattern: str, path: str, *, exactly: bool) -> bool:
    """Compare a path: `**/` may stand for nothing, and a folder for all that is in it."""
    if not exactly:
        pattern, path = pattern.casefold(), path.casefold()
    pattern = f"{pattern}*" if pattern.endswith("/") else pattern.removeprefix("./")
    return _like(pattern, path) or (pattern.startswith("**/") and _like(pattern[3:], path))


def _like(pattern: str, text: str) -> bool:
    """Compare a text with a pattern in which `*` stands for any text, and ` *` at the end for nothing too."""
    if pattern.endswith(" *") and _like(pattern[:-2], text):
        return True
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *middle, last = others
    if not text.startswith(first) or len(text) < len(first) + len(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return text.endswith(last)


def _most_specific(rules: Iterable[Rule]) -> Rule | None:
    """Find the rule that says most; of two that say as much, one that asks."""
    return max(rules, key=lambda rule: (rule.specificity, rule.decision == "ask"), default=None)
