"""Walk a tree: in order of names, however deep it is, and past what cannot be looked into."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import define, field, frozen
from pathspec import GitIgnoreSpec

from tether.toolbox.confinement import Root, as_text
from tether.toolbox.patterns import ignore_rules

__all__ = ("IGNORED", "Found", "Walk")

IGNORED: Final = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv", ".tox"})
"""Folders that are passed over when a tree is walked; named directly, they can be read."""
_NAMED: Final = 5
_LONGEST_NAME: Final = 300


@frozen
class Found:
    """Something in a tree."""

    path: Path
    name: str
    """Relative to where the walk began, with slashes."""
    mode: int
    """What it is, links followed; 0 for a link that leads nowhere."""
    is_link: bool

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, or a link to one."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, or a link to one."""
        return stat.S_ISREG(self.mode)


@frozen
class _Rules:
    """The rules of one folder, and how names are made relative to it."""

    spec: GitIgnoreSpec
    below: str = ""
    """What to put before a name that is relative to where the walk began."""
    above: int = 0
    """How many characters to take from it."""

    def decide(self, name: str) -> bool | None:
        return self.spec.check_file(self.below + name[self.above :]).include


@define
class Walk:
    """A walk through a folder."""

    root: Root
    folder: Path
    recursive: bool = True
    _passed: list[str] = field(factory=list, init=False)
    _count: int = field(default=0, init=False)

    def found(self) -> Iterator[Found]:
        """Walk. Neither links to folders nor what is ignored are gone into; links out of the root are left out.

        Raises:
            OSError: the folder itself cannot be looked into.
        """
        rules = _rules_above(self.root.path, self.folder)
        pending = [self._inside(self.folder, "", rules)]
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
                continue
            found, rules_here = step
            yield found
            if self.recursive and self._goes_into(found):
                pending.append(self._tried(found, rules_here))

    def note(self) -> str:
        """Say what could not be looked into; empty where there was nothing."""
        if not self._count:
            return ""
        more = f" and {self._count - _NAMED} more" if self._count > _NAMED else ""
        return f"[passed over: {', '.join(self._passed)}{more}]"

    def pass_over(self, name: str, error: OSError | RuntimeError) -> None:
        """Take note of something that cannot be looked into.

        Args:
            name: what.
            error: why.
        """
        self._count += 1
        if self._count <= _NAMED:
            why = getattr(error, "strerror", None) or "a link to itself"
            shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
            self._passed.append(f"{shown} ({why})")

    def _goes_into(self, found: Found) -> bool:
        return found.is_folder and found.path.name not in IGNORED and not found.is_link

    def _tried(
        self, folder: Found, rules: Sequence[_Rules]
    ) -> Iterator[tuple[Found, Sequence[_Rules]]]:
        try:
            yield from self._inside(folder.path, f"{folder.name}/", rules)
        except OSError as error:
            self.pass_over(f"{folder.name}/", error)

    def _inside(
        self, folder: Path, prefix: str, rules: Sequence[_Rules]
    ) -> Iterator[tuple[Found, Sequence[_Rules]]]:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        if prefix and any(entry.name == ".gitignore" for entry in entries):
            spec = ignore_rules(folder)
            rules = rules if spec is None else [*rules, _Rules(spec, above=len(prefix))]
        for entry in entries:
            found = self._entry(entry, f"{prefix}{as_text(entry.name)}")
            if found is not None and not _ignored(found, rules):
                yield found, rules

    def _entry(self, entry: os.DirEntry[str], name: str) -> Found | None:
        path = Path(entry.path)
        try:
            if entry.is_symlink() and not self.root.contains(path):
                return None
            return Found(path, name, _mode(entry), entry.is_symlink())
        except (OSError, RuntimeError) as error:
            self.pass_over(name, error)
            return None


def _mode(entry: os.DirEntry[str]) -> int:
    # What the folder itself knows costs no further look at the disk.
    if not entry.is_symlink():
        if entry.is_dir():
            return stat.S_IFDIR
        if entry.is_file():
            return stat.S_IFREG
    try:
        return entry.stat().st_mode
    except FileNotFoundError:
        return 0


def _rules_above(root: Path, folder: Path) -> Sequence[_Rules]:
    """Collect the rules of a folder and of those above it; its own alone where those above ignore it."""
    parts = folder.relative_to(root).parts
    rules: list[_Rules] = []
    for depth in range(len(parts)):
        spec = ignore_rules(root.joinpath(*parts[:depth]))
        if spec is not None:
            rules.append(_Rules(spec, below="".join(f"{part}/" for part in parts[depth:])))
    if any(rule.decide("") for rule in rules):
        rules = []
    own = ignore_rules(folder)
    return rules if own is None else [*rules, _Rules(own)]


def _ignored(found: Found, rules: Sequence[_Rules]) -> bool:
    """Ask the rules, the nearest first: what they say counts."""
    name = f"{found.name}/" if found.is_folder else found.name
    decisions = (rule.decide(name) for rule in reversed(rules))
    return bool(next((decision for decision in decisions if decision is not None), False))
