"""Read the files of one kind that people keep for agents."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from tether.cli.context.places import shown

__all__ = ()


class Named(Protocol):
    """What a file of a kind brings."""

    @property
    def name(self) -> str:
        """By which it is called."""
        ...

    @property
    def path(self) -> Path:
        """The file."""
        ...


N = TypeVar("N", bound=Named)


def nearest_of(
    files: Iterable[Path],
    folder: Path,
    read: Callable[[Path], N],
    problems: list[str],
    *,
    same: str,
) -> list[N]:
    """Read files; of two that have the same name, the first counts.

    Args:
        files: the nearest first.
        folder: the working folder.
        read: reads one; it raises an OSError or a ValueError where that cannot be.
        problems: gets a line about each file that is left out.
        same: says that another has the same name, which stands for `{}`.

    Returns:
        What they bring.
    """
    found: dict[str, N] = {}
    for path in files:
        place = shown(path, folder)
        try:
            one = read(path)
        except (OSError, ValueError) as error:
            problems.append(f"{place} is left out: {getattr(error, 'strerror', None) or error}")
            continue
        if one.name in found:
            nearer = shown(found[one.name].path, folder)
            problems.append(f"{place} is left out: {nearer} is nearer and {same.format(one.name)}")
        else:
            found[one.name] = one
    return list(found.values())
