"""The rules that a person keeps, for all folders and for one: plain text in the configuration folder, a rule a line."""

from pathlib import Path

from attrs import define, field

from tether import UsageError
from tether.advice.rules import Rule, Rules, parsed_rules
from tether.cli.session_files import make_private_folder, open_private, project_name

__all__ = ()


@define(eq=False)
class RuleFile:
    """A file of rules.

    Args:
        path: where it is; None to keep the rules in this process alone.
    """

    path: Path | None
    rules: tuple[Rule, ...] = field(default=())

    @classmethod
    def read(cls, path: Path) -> "RuleFile":
        """Read it; one that is not there has no rules.

        Raises:
            UsageError: it cannot be read, or a line is no rule.
        """
        try:
            return cls(path, parsed_rules(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls(path)
        except (OSError, UnicodeDecodeError, UsageError) as error:
            raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from error

    def add(self, rule: Rule) -> None:
        """Add a rule, at the end.

        Raises:
            OSError: it cannot be written; the rule holds in this process.
        """
        if rule in self.rules:
            return
        self.rules = (*self.rules, rule)
        if self.path is not None:
            self._write([*self._lines(), str(rule)])

    def remove(self, rule: Rule) -> None:
        """Take a rule away; comments and other lines stay.

        Raises:
            OSError: it cannot be written; the rule no longer holds in this process.
        """
        self.rules = tuple(one for one in self.rules if one != rule)
        if self.path is not None:
            self._write([line for line in self._lines() if rule not in _rules_in(line)])

    def _lines(self) -> list[str]:
        if self.path is None or not self.path.exists():
            return []
        return self.path.read_text(encoding="utf-8").splitlines()

    def _write(self, lines: list[str]) -> None:
        if self.path is not None:
            make_private_folder(self.path.parent)
            with open(self.path, "w", encoding="utf-8", opener=open_private) as file:
                file.write("".join(f"{line}\n" for line in lines))


def _rules_in(line: str) -> tuple[Rule, ...]:
    try:
        return parsed_rules(line)
    except UsageError:
        return ()


@define(eq=False)
class KeptRules:
    """The rules for a folder, and those for all.

    Args:
        project: the folder; what paths in rules are relative to.
    """

    project: Path = field(factory=Path.cwd)
    here: RuleFile = field(factory=lambda: RuleFile(None))
    everywhere: RuleFile = field(factory=lambda: RuleFile(None))

    @classmethod
    def read(cls, folder: Path, project: Path) -> "KeptRules":
        """Read them.

        Args:
            folder: the configuration folder.
            project: the folder that the agent works in.

        Raises:
            UsageError: a file cannot be read, or a line of it is no rule.
        """
        here = folder / "projects" / project_name(project) / "rules"
        return cls(project, RuleFile.read(here), RuleFile.read(folder / "rules"))

    @property
    def all(self) -> Rules:
        """All of them."""
        return Rules((*self.here.rules, *self.everywhere.rules), self.project)
