"""Tools that ship ready: files, search and commands, confined to a folder.

    from tether.toolbox import coding_tools

    agent = Agent("anthropic:claude-sonnet-4-5", tools=coding_tools("."))

`reading_tools` only look; `changing_tools` write files and run commands. The factories of single tools take a `Root`.
"""

from tether.toolbox.coding import changing_tools, coding_tools, reading_tools
from tether.toolbox.confinement import OutsideRootError, Root
from tether.toolbox.files import edit_tool, list_tool, read_tool, write_tool
from tether.toolbox.search import search_tool
from tether.toolbox.shell import command_tool, output_tool, stop_tool

__all__ = (
    "OutsideRootError",
    "Root",
    "changing_tools",
    "coding_tools",
    "command_tool",
    "edit_tool",
    "list_tool",
    "output_tool",
    "read_tool",
    "reading_tools",
    "search_tool",
    "stop_tool",
    "write_tool",
)
