"""The changes of files on the screen: those of one call, folded, and those of a whole conversation."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tether import ToolExecutionEnd
from tether.cli.changes.differences import drawn_difference
from tether.cli.changes.recording import lines_of_change
from tether.cli.changes.snapshots import Change, Snapshots, state_of
from tether.cli.changes.undoing import shown_name
from tether.cli.door import BOLD, DIM, Drawn, joined, revealed, styled

__all__ = ()

_MOST_OF_A_CALL: Final = 12
"""Lines of a call's change that are shown below it."""
_MOST_LINES: Final = 2_000


def drawn_change(end: ToolExecutionEnd) -> Iterator[Drawn]:
    """Draw what a call has changed in a file, folded where it is long: lines without their ends."""
    details = end.result.details
    if isinstance(details, Mapping) and isinstance(diff := details.get("diff"), str):
        lines = diff.split("\n")
        yield from drawn_difference(lines[:_MOST_OF_A_CALL])
        if more := len(lines[_MOST_OF_A_CALL:]):
            yield styled(f"  ... {more:,} more lines; /diff shows all", DIM)


def drawn_changes(snapshots: Snapshots, only: str | None = None) -> Drawn:
    """Draw what a conversation has changed in files so far.

    Args:
        snapshots: the changes.
        only: the file to draw; all if None.
    """
    files: dict[str, list[Change]] = {}
    for _, change in snapshots:
        files.setdefault(change.path, []).append(change)
    wanted = None if only is None else str(Path(only).expanduser().resolve())
    lines = [
        line
        for path, changes in files.items()
        if wanted in {None, path}
        for line in _drawn_file(snapshots, Path(path), changes)
    ]
    if not lines:
        what = "no file was" if only is None else f"{only} was not"
        return styled(f"{what} changed in this conversation")
    if more := len(lines[_MOST_LINES:]):
        lines = [
            *lines[:_MOST_LINES],
            styled(f"... {more:,} more lines; /diff FILE shows one", BOLD),
        ]
    return joined(part for line in lines for part in (line, "\n")).rstrip("\n")


def _drawn_file(snapshots: Snapshots, path: Path, changes: list[Change]) -> Iterator[Drawn]:
    first, last, now = changes[0], changes[-1], state_of(path)
    marks = [
        *(["new"] if first.before is None and now.digest is not None else []),
        *(["gone"] if now.digest is None else []),
        *(["also changed by something else since"] if now.digest != last.after else []),
    ]
    if first.before == now.digest:
        return
    about = f" ({', '.join(marks)})" if marks else ""
    yield revealed(f"{shown_name(path)}{about}", BOLD)
    before = None if first.before is None else snapshots.content(first.before)
    if first.before is not None and before is None:
        yield styled("  (what it was is not kept)", DIM)
    else:
        yield from drawn_difference(lines_of_change(before, now.content))
