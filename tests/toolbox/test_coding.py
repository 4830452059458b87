"""The tools together, and each by itself."""

from pathlib import Path

import pytest

from tether.toolbox import (
    Root,
    changing_tools,
    coding_tools,
    command_tool,
    edit_tool,
    list_tool,
    output_tool,
    read_tool,
    reading_tools,
    search_tool,
    stop_tool,
    write_tool,
)

CHANGING = (write_tool, edit_tool, command_tool, output_tool, stop_tool)


def test_coding_tools_are_those_that_read_and_those_that_change(tmp_path: Path) -> None:
    reading = [tool.name for tool in reading_tools(tmp_path)]
    changing = [tool.name for tool in changing_tools(tmp_path)]
    assert [tool.name for tool in coding_tools(tmp_path)] == [*reading, *changing]
    root = Root(tmp_path)
    assert reading == [make(root).name for make in (read_tool, list_tool, search_tool)]
    assert changing == [make(root).name for make in CHANGING]


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        coding_tools(tmp_path / "missing")


def test_they_say_what_they_do_to_the_world(tmp_path: Path) -> None:
    assert {
        tool.name: (tool.kind, tool.read_only, tool.destructive, tool.idempotent)
        for tool in coding_tools(tmp_path)
    } == {
        "read_file": ("read", True, None, True),
        "list_files": ("search", True, None, True),
        "search_text": ("search", True, None, True),
        "write_file": ("edit", False, True, True),
        "edit_file": ("edit", False, True, False),
        "run_command": ("execute", False, True, False),
        "read_output": ("read", True, None, False),
        "stop": ("execute", False, False, True),
    }
    assert all(tool.title for tool in coding_tools(tmp_path))
