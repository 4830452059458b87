"""The tools of a folder, called as a model calls them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tether import Text, ToolResult
from tether.toolbox import coding_tools

Call = Callable[..., Awaitable[str]]


def tools_of(root: Path) -> Call:
    """Make a function that calls a tool by its name and gives the text of the result."""
    tools = {tool.name: tool for tool in coding_tools(root)}

    async def call(name: str, **arguments: Any) -> str:
        result = await tools[name](**arguments)
        if isinstance(result, ToolResult):
            return "".join(block.text for block in result.content if isinstance(block, Text))
        return str(result)

    return call
