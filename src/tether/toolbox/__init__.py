"""Tools that ship ready: files, search and commands, confined to a folder.

    from tether.toolbox import coding_tools

    agent = Agent("anthropic:claude-sonnet-4-5", tools=coding_tools("."))

`reading_tools` only look; `changing_tools` write files and run commands. The factories of single tools take a `Root`.
`todo_tool` keeps a list of what is to be done, and `fetch_tool` gets pages of the web.
"""

from tether.toolbox.addresses import PrivateAddressError
from tether.toolbox.coding import changing_tools, coding_tools, reading_tools
from tether.toolbox.confinement import OutsideRootError, Root
from tether.toolbox.fetch import fetch_tool
from tether.toolbox.files import edit_tool, list_tool, read_tool, write_tool
from tether.toolbox.search import search_tool
from tether.toolbox.shell import command_tool, output_tool, stop_tool
from tether.toolbox.todo import TodoItem, TodoStatus, todo_of, todo_tool

__all__ = (
    "OutsideRootError",
    "PrivateAddressError",
    "Root",
    "TodoItem",
    "TodoStatus",
    "changing_tools",
    "coding_tools",
    "command_tool",
    "edit_tool",
    "fetch_tool",
    "list_tool",
    "output_tool",
    "read_tool",
    "reading_tools",
    "search_tool",
    "stop_tool",
    "todo_of",
    "todo_tool",
    "write_tool",
)
