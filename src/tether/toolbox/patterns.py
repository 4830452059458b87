"""Patterns of file names as ripgrep and git have them, and the rules of `.gitignore` files.

Patterns come from models, and rules from whoever wrote the folder: all of them are matched by an engine that does not
backtrack.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from tether.opening import open_regular, read_at_most
from tether.toolbox.expressions import compile_source

__all__ = ("IGNORE_FILE", "Matches", "compile_pattern", "ignore_rules", "split_pattern")

IGNORE_FILE: Final = ".gitignore"
_LONGEST_RULES: Final = 256 * 1024
_MOST_ALTERNATIVES: Final = 256
_SPECIAL: Final = frozenset("*?[{")
_BELOW: Final = "ps_d"
"""The group of pathspec's expressions that matches when what is below a folder matches through it."""

Matches = Callable[[str], bool]


def compile_pattern(pattern: str) -> Matches:
    """Make a function that says whether a relative path matches a pattern.

    Without a slash a pattern is matched against the last name of a path, with one against the whole. `**` stands for
    any folders, `{a,b}` for either, and a `!` at the beginning for all that do not match.

    Args:
        pattern: such as `*.py`, `src/**/*.{ts,js}` or `!*.log`.

    Returns:
        The function.

    Raises:
        ValueError: no path can match it; the message says why.
    """
    excluded = pattern.startswith("!")
    expressions = [_expression(one, pattern) for one in _alternatives(pattern.removeprefix("!"))]

    def matches(path: str) -> bool:
        return excluded != any(one(path) for one in expressions)

    return matches


def split_pattern(path: str) -> tuple[str, str]:
    """Split a path that is a pattern into the folder before the first special character, and the pattern.

    Args:
        path: such as `src/**/*.ts`.

    Returns:
        Folder and pattern, as `src` and `**/*.ts`; the pattern is empty where nothing is special.
    """
    parts = path.split("/")
    first = next((n for n, part in enumerate(parts) if _SPECIAL & set(part)), len(parts))
    return "/".join(parts[:first]) or ("/" if path.startswith("/") else "."), "/".join(
        parts[first:]
    )


def ignore_rules(folder: Path) -> GitIgnoreSpec | None:
    """Read the `.gitignore` of a folder.

    Args:
        folder: where to look.

    Returns:
        Its rules, those left out that git would not understand; None where there is none that can be read.
    """
    path = folder / IGNORE_FILE
    try:
        with open_regular(path, IGNORE_FILE) as file:
            content = read_at_most(file, _LONGEST_RULES)
    except (OSError, ValueError):
        return None
    if not content:
        return None
    lines = filter(_is_rule, content.decode(errors="replace").splitlines())
    return GitIgnoreSpec.from_lines(lines, backend="re2")


def _is_rule(line: str) -> bool:
    try:
        expression, _ = GitIgnoreSpecPattern.pattern_to_regex(line)
        return expression is not None and bool(compile_source(str(expression)))
    except ValueError:
        return False


def _expression(pattern: str, whole: str) -> Matches:
    clean = pattern.removeprefix(".") if pattern.startswith("./") else pattern
    if why := _impossible(clean):
        raise ValueError(f"the pattern {whole!r} cannot match: {why}")
    if clean.startswith(("#", " ")):
        clean = f"\\{clean}"
    try:
        source, _ = GitIgnoreSpecPattern.pattern_to_regex(clean)
        if source is None:
            raise ValueError("a [ in it is not closed")
        expression = compile_source(str(source))
    except ValueError as error:
        raise ValueError(f"the pattern {whole!r} cannot match: {error}") from error
    folders = clean.endswith("/")
    below = expression.groupindex.get(_BELOW, 0)

    def matches(path: str) -> bool:
        found = expression.search(path)
        return found is not None and (folders or not below or found.start(below) == -1)

    return matches


def _impossible(pattern: str) -> str:
    """Say why no path can match a pattern, as far as it shows."""
    parts = pattern.split("/")
    if not pattern:
        return "it is empty; * matches everything"
    if ".." in parts:
        return "it leads out of the folder with ..; name that folder as `path`"
    if "." in parts or "" in parts[1:-1]:
        return "paths have no empty part and no . between slashes"
    return ""


def _alternatives(pattern: str) -> Iterator[str]:
    """Give what the braces of a pattern stand for."""
    todo, made = [pattern], 0
    while todo:
        made += 1
        if made > _MOST_ALTERNATIVES:
            raise ValueError(
                f"the pattern {pattern!r} stands for more than {_MOST_ALTERNATIVES} patterns"
            )
        one = todo.pop()
        braces = _first_braces(one, pattern)
        if braces is None:
            yield one
        else:
            before, inner, after = braces
            todo += [f"{before}{choice}{after}" for choice in reversed(inner)]


def _first_braces(text: str, whole: str) -> tuple[str, list[str], str] | None:
    """Split a text at its first braces; None where it has none."""
    start, depth, choices, position = -1, 0, [0], 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == "{":
            if depth == 0:
                start, choices = position, [position]
            depth += 1
        elif character == "," and depth == 1:
            choices.append(position)
        elif character == "}" and depth:
            depth -= 1
            if depth == 0:
                ends = [*choices[1:], position]
                inner = [text[a + 1 : b] for a, b in zip(choices, ends, strict=True)]
                return text[:start], inner, text[position + 1 :]
        position += 1
    if depth:
        raise ValueError(f"the pattern {whole!r} cannot match: a {{ in it is not closed")
    return None
