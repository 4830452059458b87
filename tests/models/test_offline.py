"""The offline model follows its rules, and says so where it has none."""

import pytest

from tether import Agent, Text, tool
from tether.models.offline import plan


@pytest.mark.parametrize(
    ("request_", "steps"),
    [
        ("read README.md", [[("read_file", {"path": "README.md"})]]),
        ("list src", [[("list_files", {"path": "src"})]]),
        ("read @src/a.py", [[("read_file", {"path": "src/a.py"})]]),
        ("List the files in src.", [[("list_files", {"path": "src"})]]),
        ("list", [[("list_files", {"path": "."})]]),
        ("search TODO in src", [[("search_text", {"pattern": "TODO", "path": "src"})]]),
        ("how many lines has X", [[("read_file", {"path": "X"})]]),
        ("how many lines does X have?", [[("read_file", {"path": "X"})]]),
        ("run ls -la", [[("run_command", {"command": "ls -la"})]]),
        ("run echo a and b", [[("run_command", {"command": "echo a and b"})]]),
        (
            "replace a - b with `a + b` in calc.py",
            [[("edit_file", {"old": "a - b", "new": "a + b", "path": "calc.py"})]],
        ),
        ("write hi there to b.txt", [[("write_file", {"content": "hi there", "path": "b.txt"})]]),
        (
            "read README.md and list src then tell me how many lines README.md has",
            [
                [("read_file", {"path": "README.md"}), ("list_files", {"path": "src"})],
                [("read_file", {"path": "README.md"})],
            ],
        ),
        ("what is the meaning of life?", []),
    ],
)
def test_a_request_is_read_as_groups_of_steps(request_: str, steps: object) -> None:
    assert [[(step.tool, step.arguments) for step in group] for group in plan(request_)] == steps


async def test_what_it_does_not_know_it_says() -> None:
    assert "offline model" in (await Agent("offline").prompt("what is love?")).text


@pytest.mark.parametrize(
    "parts", [["run ls", "I ran `pwd`:\n/"], ["a guide:\nBe brief.", "run ls"]]
)
async def test_what_is_attached_is_no_part_of_the_request(parts: list[str]) -> None:
    seen = []

    @tool
    async def run_command(command: str) -> str:
        """Run."""
        seen.append(command)
        return "a b"

    await Agent("offline", tools=[run_command]).prompt([Text(part) for part in parts])
    assert seen == ["ls"]


async def test_a_tool_it_was_not_given_it_names() -> None:
    assert "read_file" in (await Agent("offline").prompt("read x")).text


async def test_its_answer_is_made_from_the_results() -> None:
    @tool
    async def read_file(path: str) -> str:
        """Read."""
        return "one\ntwo\nthree"

    result = await Agent("offline", tools=[read_file]).prompt(
        "read x then tell me how many lines x has"
    )
    assert result.text == "x begins: one\nx has 3 lines."
    assert len(result.messages) == 6
