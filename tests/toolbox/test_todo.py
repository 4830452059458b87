"""The list of what is to be done: it is in the conversation, and nowhere else."""

from pathlib import Path

from tether import Agent, Session, ToolResultMessage
from tether.testing import ScriptedModel, call
from tether.toolbox import TodoItem, todo_of, todo_tool
from tether.toolbox.todo import items_in

STEPS = [
    {"text": "look", "status": "completed"},
    {"text": "write\nit", "status": "in_progress"},
    {"text": "test"},
]


async def test_it_is_kept_across_a_resumption_and_shown_again(tmp_path: Path) -> None:
    for script in ((call("todo", items=STEPS), "listed"), (call("todo"), "shown")):
        with Session.open(tmp_path / "s.jsonl") as session:
            agent = Agent(ScriptedModel(*script), tools=[todo_tool()], session=session)
            await agent.prompt("go")
            assert [item.line for item in todo_of(agent.messages)] == [
                "[x] look",
                "[>] write it",
                "[ ] test",
            ]
            [*_, result] = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
            assert result.text == "1 of 3 done\n[x] look\n[>] write it\n[ ] test"


async def test_it_goes_back_with_the_conversation() -> None:
    first = [{"text": "first"}]
    agent = Agent(
        ScriptedModel(call("todo", items=first), "a", call("todo", items=STEPS), "b"),
        tools=[todo_tool()],
    )
    assert todo_of(agent.messages) == ()
    await agent.prompt("go")
    before = agent.messages
    await agent.prompt("on")
    agent.reset(before)
    assert list(todo_of(agent.messages)) == [TodoItem("first")]


async def test_what_is_no_list_is_refused_and_the_one_before_stays() -> None:
    agent = Agent(
        ScriptedModel(
            call("todo", items=STEPS),
            call("todo", items=[{"text": " "}]),
            call("todo", items=[{"text": "x"}] * 101),
            call("todo", items=[{"text": "x", "status": "later"}]),
            "no",
        ),
        tools=[todo_tool()],
    )
    await agent.prompt("go")
    results = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert [result.outcome for result in results] == ["ok", "error", "error", "error"]
    assert len(todo_of(agent.messages)) == 3


def test_details_of_others_are_no_list() -> None:
    assert items_in({"todo": "x"}) is None
    assert items_in(None) is None
    assert items_in({"todo": [1, {"text": 2}, {"text": "a", "status": "odd"}]}) == []
