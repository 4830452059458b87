"""The tools together: those that only look, and those that change things."""

import os
from collections.abc import Iterable, Sequence

from tether import Tool
from tether.toolbox.confinement import Root
from tether.toolbox.files import edit_tool, list_tool, read_tool, write_tool
from tether.toolbox.search import search_tool
from tether.toolbox.shell import command_tool, output_tool, stop_tool

__all__ = ("changing_tools", "coding_tools", "reading_tools")


def reading_tools(root: Root | str | os.PathLike[str]) -> Sequence[Tool]:
    """Make `read_file`, `list_files` and `search_text`.

    Args:
        root: the folder they are confined to. A `Root` that tools share also holds what they have read:
            `write_file` and `edit_file` then refuse a file that has changed since.

    Returns:
        The tools.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    confined = _confined(root)
    return [read_tool(confined), list_tool(confined), search_tool(confined)]


def changing_tools(
    root: Root | str | os.PathLike[str], *, keep_env: Iterable[str] = ()
) -> Sequence[Tool]:
    """Make `write_file`, `edit_file`, `run_command`, and `read_output` and `stop` for commands in the background.

    All but `read_output` are those that people may want to be asked about.

    Args:
        root: the folder that files are confined to, and that commands start in; a `Root` that is shared with
            `reading_tools` knows what was read.
        keep_env: environment variables that commands get although they look like secrets; see `command_tool`.

    Returns:
        The tools.

    Raises:
        FileNotFoundError: there is no such folder.
        TypeError: `keep_env` is a string.
    """
    confined = _confined(root)
    return [
        write_tool(confined),
        edit_tool(confined),
        command_tool(confined, keep_env=keep_env),
        output_tool(confined),
        stop_tool(confined),
    ]


def coding_tools(
    root: Root | str | os.PathLike[str], *, keep_env: Iterable[str] = ()
) -> Sequence[Tool]:
    """Make all of them.

    Args:
        root: the folder that files are confined to, and that commands start in.
        keep_env: environment variables that commands get although they look like secrets; see `command_tool`.

    Returns:
        The tools.

    Raises:
        FileNotFoundError: there is no such folder.
        TypeError: `keep_env` is a string.
    """
    confined = _confined(root)
    return [*reading_tools(confined), *changing_tools(confined, keep_env=keep_env)]


def _confined(root: Root | str | os.PathLike[str]) -> Root:
    return root if isinstance(root, Root) else Root(root)
