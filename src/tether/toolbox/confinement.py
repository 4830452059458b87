"""Keep paths inside a folder.

A path is resolved first, symbolic links included, and then must lie under the root, itself resolved. What is
promised: no tool follows `..`, an absolute path or a link out of the root as the tree stands when it looks. Not
promised: anything against a process that swaps a folder for a link between the look and the use; whoever must
withstand that runs the agent in a sandbox of the operating system. Commands are not confined at all, they
only start in the root.
"""

import os
from pathlib import Path

from attrs import field, frozen

from tether.toolbox.jobs import Jobs
from tether.toolbox.seen import Seen

__all__ = ("OutsideRootError", "Root", "as_text")


class OutsideRootError(PermissionError):
    """A path leads out of the folder that tools are confined to."""


def _resolved(path: str | os.PathLike[str]) -> Path:
    return Path(path).resolve(strict=True)


@frozen
class Root:
    """The folder that tools are confined to."""

    path: Path = field(converter=_resolved)
    seen: Seen = field(factory=Seen, init=False, eq=False, repr=False)
    """What was read through the tools of this root."""
    jobs: Jobs = field(factory=Jobs, init=False, eq=False, repr=False)
    """The commands in the background that were started through them."""

    def locate(self, path: str) -> Path:
        """Find a path.

        Args:
            path: relative to the root, or absolute inside it; it need not exist.

        Returns:
            The resolved path.

        Raises:
            OutsideRootError: it leads out of the root.
            ValueError: it can be no path, or is a link to itself.
        """
        try:
            located = (self.path / path).resolve()
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or "it is a link that leads to itself"
            raise ValueError(f"{path} cannot be found: {why}") from error
        except ValueError as error:
            raise ValueError(
                f"{path!r} is not a path: it has a NUL or half of a surrogate pair"
            ) from error
        if not located.is_relative_to(self.path):
            raise OutsideRootError(
                f"{path} is outside of {self.path}, and only what is inside may be used"
            )
        return located

    def contains(self, path: Path) -> bool:
        """Say whether a path that was found, perhaps a link, stays inside."""
        return path.resolve().is_relative_to(self.path)

    def name(self, path: Path) -> str:
        """How a path is called: relative to the root."""
        return as_text(path.relative_to(self.path).as_posix())


def as_text(name: str) -> str:
    """Write a file name as text that can be sent: what is not UTF-8 in it shows as U+FFFD."""
    return os.fsencode(name).decode(errors="replace")
