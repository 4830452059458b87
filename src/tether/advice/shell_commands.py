"""What a shell would run for a text, as far as the text shows: for rules about commands.

A command that a rule allows must be nothing but simple commands, each of them allowed: whatever else the shell's
grammar offers is named as an obstacle. For rules that forbid, commands are looked for everywhere: in substitutions and
subshells, behind `sudo` and the like, and in what `sh -c` is given. A program can still hide what it runs; only a
sandbox withstands that.

No I/O.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

__all__ = ("Script", "read_script", "words_as_text")

_HARMLESS_REDIRECT: Final = re.compile(r">?(?:&(?:\d+|-)|[ \t]*/dev/null)(?=[\s;&|)]|$)")
_NEEDS_QUOTES: Final = re.compile(r"[\s'\"\\;&|<>()$`#]")
_EXPANDED: Final = re.compile(r"[$*?{`]")
"""What makes another word of a word."""
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*\+?=")
_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "eval"})
_STARTERS: Final = frozenset(
    """
    sudo doas su env xargs timeout nohup nice ionice time command exec builtin setsid
    stdbuf find parallel watch strace busybox flock chroot unshare if then else elif do
    while until ! {
    """.split()  # noqa: SIM905 - a list would take a line for each
)
"""What runs the command that stands somewhere behind it."""
_UNREADABLE: Final = frozenset({"case", "alias", "function", ".", "source"})
_MOST_TEXTS: Final = 100
"""Texts that are read where shells are given texts of their own."""
_MOST_STARTED: Final = 50
"""Words behind a program that starts others, at which the other may begin."""
_DEEPEST: Final = 100
"""Substitutions and subshells in each other."""


@frozen
class Script:
    """What a text runs."""

    commands: tuple[tuple[str, ...], ...]
    """The words of each simple command, quotes taken off, those in substitutions and subshells included."""
    started: tuple[tuple[str, ...], ...]
    """Those that it may run: also behind `sudo` and the like, in what `sh -c` is given, and without the paths of
    programs."""
    obstacle: str = ""
    """What in it is more than simple commands that follow each other, such as `$`; empty if nothing is."""
    is_readable: bool = True
    """False where it cannot be known which commands it runs."""

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but simple commands that follow each other."""
        return self.is_readable and not self.obstacle


def read_script(text: str) -> Script:
    """Read a text as a POSIX shell does, without running anything.

    Args:
        text: the text.

    Returns:
        What it runs.
    """
    whole = _Reader(text)
    whole.read_commands("")
    started: list[tuple[str, ...]] = []
    is_readable, readers, known = True, [whole], {text}
    while readers:
        reader = readers.pop()
        is_readable = is_readable and reader.is_readable and all(map(_is_readable, reader.commands))
        views = [view for words in reader.commands for view in _views(words)]
        started += views
        inner = [inner for view in views if view[0] in _SHELLS for inner in _given(view)]
        for one in dict.fromkeys(inner):
            if one not in known:
                known.add(one)
                readers.append(_Reader(one))
                readers[-1].read_commands("")
        if len(known) > _MOST_TEXTS:
            is_readable = False
            break
    return Script(tuple(whole.commands), tuple(started), whole.obstacle, is_readable)


def words_as_text(words: Sequence[str]) -> str:
    """Write the words of a command in one way, whatever quotes they had: a word with a space in it has quotes."""
    return " ".join(shlex.quote(word) if _needs_quotes(word) else word for word in words)


def _needs_quotes(word: str) -> bool:
    return not word or _NEEDS_QUOTES.search(word) is not None


def _given(shell: Sequence[str]) -> Iterator[str]:
    """Give the texts that a shell may run."""
    yield from shell[1:]
    yield " ".join(shell[1:])


def _is_readable(words: Sequence[str]) -> bool:
    """Say whether it shows which programs a command runs."""
    first, *others = _views(words) or [("",)]
    if _EXPANDED.search(first[0].removeprefix("{")) or first[0] in _UNREADABLE:
        return False
    if len(others) == _MOST_STARTED:
        return False
    return not any("$" in other[0] or other[0] in _UNREADABLE - {"."} for other in others)


def _views(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Give a command without its assignments, and those that it may start."""
    start = next((n for n, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
    rest = words[start:]
    if not rest:
        return []
    found = [(_program(rest[0]), *rest[1:])]
    if found[0][0] in _STARTERS:
        found += [
            (_program(word), *rest[n + 1 :])
            for n, word in enumerate(rest[1 : _MOST_STARTED + 1], start=1)
            if not _ASSIGNMENT.match(word)
        ]
    return found


def _program(word: str) -> str:
    return word.rpartition("/")[2] or word


class _Reader:
    """Reads a text once, from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.obstacle = ""
        self.is_readable = True
        """Whether all that was opened was closed, quotes and parentheses, and no text of another kind is in it."""
        self._text = text
        self._place = 0
        self._depth = 0

    def read_commands(self, end: str) -> None:
        """Read commands up to what closes them, or to the end of the text."""
        words: list[str] = []
        word: str | None = None
        self._depth += 1
        if self._depth > _DEEPEST:
            self._place = len(self._text)
        while (one := self._take()) != end:
            match one:
                case "":
                    self.is_readable = False
                    break
                case " " | "\t":
                    _end_word(words, word)
                    word = None
                case "\n" | ";" | "&" | "|":
                    _end_word(words, word)
                    word = None
                    words = self._add(words)
                case "\\" if self._text.startswith("\n", self._place):
                    self._take()
                case "#" if word is None:
                    self._skip_line()
                case "<" | ">":
                    word = self._redirected(one, words, word)
                case "(" | ")":
                    self._meet(one)
                    _end_word(words, word)
                    word = None
                    words = self._add(words)
                    if one == "(":
                        self.read_commands(")")
                case _:
                    word = (word or "") + self._part(one)
        _end_word(words, word)
        self._add(words)
        self._depth -= 1

    def _part(self, one: str) -> str:
        """Read a part of a word."""
        match one:
            case "'":
                return self._up_to("'")
            case '"':
                return self._in_quotes()
            case "\\":
                return self._take()
            case "`":
                return self._substituted("`")
            case _:
                if one == "$" or not one.isprintable():
                    self._meet(one)
                return one

    def _in_quotes(self) -> str:
        read: list[str] = []
        while (one := self._take()) != '"':
            match one:
                case "":
                    self.is_readable = False
                    break
                case "\\":
                    following = self._take()
                    literal = following in {"$", "`", '"', "\\"}
                    read.append(following if literal else f"\\{following}".replace("\\\n", ""))
                case "$" if self._text[self._place : self._place + 1] not in {'"', " "}:
                    self._meet(one)
                    if self._text.startswith("(", self._place):
                        self._take()
                        self._substituted(")")
                    read.append("$")
                case "`":
                    read.append(self._substituted("`"))
                case _:
                    read.append(one)
        return "".join(read)

    def _substituted(self, end: str) -> str:
        """Read the commands of a substitution; what they print is not known."""
        self._meet("`" if end == "`" else "$")
        self.read_commands(end)
        return "$"

    def _redirected(self, one: str, words: list[str], word: str | None) -> str | None:
        """Read a redirection, except where it leads if that is a file."""
        if word is not None and not word.isdecimal():
            _end_word(words, word)
            word = None
        harmless = _HARMLESS_REDIRECT.match(self._text, self._place)
        if harmless is None or one == "<":
            self._meet(one)
            if self._text.startswith("<", self._place):
                # The lines of a here-document are no commands, and their quotes are none.
                self.is_readable = False
            _end_word(words, word)
            return None
        self._place = harmless.end()
        return None  # the number before it is that of a descriptor

    def _up_to(self, end: str) -> str:
        found = self._text.find(end, self._place)
        if found < 0:
            self.is_readable = False
            found = len(self._text)
        read = self._text[self._place : found]
        self._place = found + len(end)
        return read

    def _skip_line(self) -> None:
        found = self._text.find("\n", self._place)
        self._place = len(self._text) if found < 0 else found

    def _take(self) -> str:
        one = self._text[self._place : self._place + 1]
        self._place += 1
        return one

    def _meet(self, obstacle: str) -> None:
        self.obstacle = self.obstacle or obstacle

    def _add(self, words: list[str]) -> list[str]:
        if words:
            self.commands.append(tuple(words))
        return []


def _end_word(words: list[str], word: str | None) -> None:
    if word is not None:
        words.append(word)
