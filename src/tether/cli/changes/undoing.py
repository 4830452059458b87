"""Take back what a conversation has changed in files, as far as nobody else has changed them since."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tether.cli.changes.snapshots import Change, Snapshots, state_of

__all__ = ()


def changes_since(snapshots: Snapshots, requests: Collection[str]) -> Sequence[tuple[int, Change]]:
    """Return the changes that followed any of some messages, those after them included, with their places."""
    changes = list(snapshots)
    first = next((n for n, (_, one) in enumerate(changes) if one.request in requests), None)
    return [] if first is None else changes[first:]


def undo_changes(snapshots: Snapshots, changes: Sequence[tuple[int, Change]]) -> list[str]:
    """Take changes back.

    Args:
        snapshots: has what the files were.
        changes: what to take back, oldest first.

    Returns:
        What was done, and what was not and why: a line for each file.
    """
    paths = dict.fromkeys(change.path for _, change in changes)
    return [
        _undo(snapshots, Path(path), [one for one in changes if one[1].path == path])
        for path in paths
    ]


def _undo(snapshots: Snapshots, path: Path, changes: Sequence[tuple[int, Change]]) -> str:
    from tether.toolbox.replacing import replace_file  # noqa: PLC0415 - where it is needed: the command starts without the tools

    name = shown_name(path)
    going_back = list(_connected(changes, state_of(path).digest))
    if not going_back:
        return f"! {name} was changed by something else since: it is left as it is"
    made, target = going_back[-1][1].made, going_back[-1][1].before
    content = None if target is None else snapshots.content(target)
    if target is not None and content is None:
        return f"! {name} is left as it is: what it was is not kept, as it is too large"
    try:
        if content is None:
            _remove(path, made)
        else:
            replace_file(path, name, content)
    except (OSError, ValueError) as error:
        return f"! {name} is left as it is: {getattr(error, 'strerror', None) or error}"
    snapshots.undo([place for place, _ in going_back])
    if len(going_back) < len(changes):
        return f"! {name} is as something else had left it between two changes"
    return f"{name} is removed" if content is None else f"{name} is as it was"


def _connected(
    changes: Sequence[tuple[int, Change]], digest: str | None
) -> Iterator[tuple[int, Change]]:
    """Go back from what a file is, as long as each change made what the next one found."""
    for place, change in reversed(changes):
        if change.after != digest:
            return
        yield place, change
        digest = change.before


def _remove(path: Path, made: str | None) -> None:
    """Remove a file that was made, and the folders that were made for it, as far as they are empty."""
    path.unlink()
    if made is not None:
        with suppress(OSError):  # something else is in it
            for folder in path.parents:
                if not folder.is_relative_to(made):
                    break
                folder.rmdir()


def shown_name(path: Path) -> str:
    """Write a path as a person knows it: relative to the working folder, if it is inside."""
    here = Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
