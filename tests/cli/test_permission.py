"""Modes and rules: which calls run, which are asked about, and what a person keeps."""

from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest
from tests.cli.test_conversation import talking, texts

from tether import Agent, ToolCall, ToolResultMessage, UsageError, tool
from tether.advice.rules import Rule, Rules
from tether.cli.assembly import add_permission, policy_of
from tether.cli.permission.kept_rules import KeptRules, RuleFile
from tether.cli.permission.modes import Mode, Modes
from tether.cli.permission.policy import Policy
from tether.cli.permission.suggestion import suggested_rules
from tether.testing import ScriptedModel, call


@tool(kind="execute", destructive=True)
async def run_command(command: str) -> str:
    """Run."""
    return f"ran {command}"


@tool(kind="edit", destructive=True)
async def edit_file(path: str) -> str:
    """Edit."""
    return f"edited {path}"


@tool(kind="read", read_only=True)
async def read_file(path: str) -> str:
    """Read."""
    return f"read {path}"


@tool
async def today() -> str:
    """Say the day."""
    return "today"


TOOLS = [run_command, edit_file, read_file, today]
CALLS = [
    call("run_command", command="ls"),
    call("run_command", command="git log"),
    call("run_command", command="git push"),
    call("edit_file", path="a"),
    call("read_file", path="a"),
    call("today"),
]
RULES = RuleFile(None, Rules.parse("allow run_command: git *\ndeny run_command: git push *").rules)


def outcomes(agent: Agent) -> list[str]:
    return [m.outcome for m in agent.messages if isinstance(m, ToolResultMessage)]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.PLAN, ["denied", "denied", "denied", "denied", "ok", "denied"]),
        (Mode.ASK, ["denied", "ok", "denied", "denied", "ok", "ok"]),
        (Mode.EDITS, ["denied", "ok", "denied", "ok", "ok", "ok"]),
        (Mode.ALL, ["ok", "ok", "denied", "ok", "ok", "ok"]),
    ],
)
async def test_what_a_mode_lets_run_where_nobody_can_be_asked(
    mode: Mode, expected: list[str]
) -> None:
    agent = Agent(ScriptedModel(CALLS, "Done."), tools=TOOLS)
    add_permission(agent, None, Policy(Modes(mode), KeptRules(here=RULES)))
    await agent.prompt("go")
    assert outcomes(agent) == expected
    last = [m.text for m in agent.messages if isinstance(m, ToolResultMessage)][2]
    assert last == "This call was denied: the rule `deny run_command: git push *` forbids it"


async def test_a_command_that_cannot_be_read_does_not_pass_a_rule_that_denies() -> None:
    agent = Agent(ScriptedModel(call("run_command", command="$X"), "Done."), tools=TOOLS)
    add_permission(agent, None, Policy(Modes(Mode.ALL), KeptRules(here=RULES)))
    await agent.prompt("go")
    [denied] = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert "a rule may deny a part of it" in denied.text


async def test_agents_inside_tools_are_held_to_the_same_rules() -> None:
    """What its calls may do is decided for each: also in plan mode the agent itself runs."""
    child = Agent(
        ScriptedModel([call("edit_file", path="a"), call("read_file", path="a")], "Done."),
        tools=TOOLS,
    )
    add_permission(child, None, policy := Policy(Modes(Mode.PLAN)))
    agent = Agent(
        ScriptedModel(call("ask", request="go"), "Done."), tools=[child.as_tool("ask", "Ask.")]
    )
    add_permission(agent, None, policy)
    result = await agent.prompt("go")
    [answer] = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
    inner = [m["outcome"] for m in answer.details["messages"] if m["role"] == "tool"]
    assert (answer.outcome, inner, result.text) == ("ok", ["denied", "ok"], "Done.")


async def test_a_rule_is_added_at_the_question_and_kept(tmp_path: Path) -> None:
    commands = ["git log | npm test", "git status", "npm test x", "git log > x"]
    calls = [[call("run_command", command=one)] for one in commands]
    agent = Agent(ScriptedModel(*calls, "Done."), tools=TOOLS)
    rules = KeptRules.read(tmp_path, tmp_path)
    async with talking(agent) as person:
        person.conversation.rules = rules
        add_permission(agent, person.conversation.ask, Policy(person.conversation.mode, rules))
        [told] = await person.does("go")
        assert "p = always allow `git *`, `npm *` in this folder" in told
        [told] = await person.does("p")
        assert "git log > x" in told
        assert "p = always" not in told, "no rule can allow it"
        assert await person.does("p") == [], "what was not offered is a reason"
        [listed] = await person.does("/rules")
    assert outcomes(agent) == ["ok", "ok", "ok", "denied"]
    assert listed.splitlines()[:2] == [
        "  1 allow run_command: git *",
        "  2 allow run_command: npm *",
    ]
    again = KeptRules.read(tmp_path, tmp_path)
    assert again.all.rules == rules.all.rules
    other = tmp_path / "other"
    assert KeptRules.read(tmp_path, other).all.rules == ()


async def test_calls_that_wait_run_when_the_question_before_has_allowed_them() -> None:
    calls = [call("run_command", command=f"git {word}") for word in ("log", "status")]
    agent = Agent(ScriptedModel(calls, "Done."), tools=TOOLS)
    async with talking(agent) as person:
        add_permission(agent, person.conversation.ask, Policy())
        assert len(await person.does("go")) == 1
        assert await person.does("p") == []
    assert outcomes(agent) == ["ok", "ok"]


async def test_a_long_change_is_shown_whole_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @tool(kind="edit", destructive=True)
    async def write_file(path: str, content: str) -> str:
        """Write."""
        return path

    text = "".join(f"line {n}\n" for n in range(100))
    model = ScriptedModel(call("write_file", path="a", content=text), "Done.")
    agent = Agent(model, tools=[write_file])
    async with talking(agent) as person:
        add_permission(agent, person.conversation.ask, Policy())
        await person.does("go")
        while person.conversation.question is None:
            await anyio.lowlevel.checkpoint()
        [folded] = person.told
        assert "more lines; d shows all" in folded
        assert "line 99" not in folded
        [whole] = await person.does("d")
        assert "line 99" in whole
        await person.does("y")
    assert texts(agent)[-1] == "Done."


async def test_rules_are_listed_added_and_removed(tmp_path: Path) -> None:
    async with talking(Agent(ScriptedModel())) as person:
        does = person.does
        person.conversation.rules = KeptRules.read(tmp_path, tmp_path)
        [told] = await does("/rules")
        assert told.startswith("no rules")
        await does('/rules add allow run_command: git commit -m "x *"')
        await does("/rules add --everywhere deny run_command: rm *")
        assert await does("/rules add --everywhere deny run_command: rm *") == [
            "there already: deny run_command: rm *"
        ]
        [told] = await does("/rules")
        assert told.splitlines()[:2] == [
            "  1 allow run_command: git commit -m 'x *'",
            "  2 deny run_command: rm *  (in all folders)",
        ]
        assert await does("/rules remove 1") == ["removed: allow run_command: git commit -m 'x *'"]
        for wrong in ("remove 7", "remove 0", "remove deny a"):
            [told] = await does(f"/rules {wrong}")
            assert told.startswith("! there is no rule"), wrong
        for wrong in ("add", "add permit x", "change x"):
            [told] = await does(f"/rules {wrong}")
            assert told.startswith("!"), wrong
    assert KeptRules.read(tmp_path, tmp_path).all.rules == (Rule("deny", "run_command", "rm *"),)


async def test_a_mode_is_shown_and_changed() -> None:
    async with talking(Agent(ScriptedModel())) as person:
        mode = person.conversation.mode
        [told] = await person.does("/mode")
        assert "* ask  " in told
        assert "  edits  files" in told, (
            "two columns, which a narrow screen breaks below the second"
        )
        [told] = await person.does("/mode plan")
        assert told.startswith("mode plan: ")
        assert mode.current is Mode.PLAN
        assert await person.does("/mode nosuch") == [
            "! there is no mode 'nosuch'; the modes are plan, ask, edits, all"
        ]
        assert [mode.next() for _ in Mode] == [Mode.ASK, Mode.EDITS, Mode.ALL, Mode.PLAN]


def test_a_file_of_rules_keeps_its_comments_and_is_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rules"
    file = RuleFile.read(path)
    file.add(Rule.parse("allow a"))
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(f"# mine\n{path.read_text()}\ndeny b: x\n")
    file = RuleFile.read(path)
    file.remove(Rule.parse("allow a"))
    assert path.read_text() == "# mine\n\ndeny b: x\n"


def test_rules_that_cannot_be_read_are_an_error_that_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("deny a\n\nforbid b\n")
    with pytest.raises(UsageError, match=r"rules: line 3: 'forbid b' is not a rule"):
        KeptRules.read(tmp_path, tmp_path)
    (tmp_path / "rules").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="rules: "):
        KeptRules.read(tmp_path, tmp_path)


def test_a_rule_that_cannot_be_written_holds_in_this_process(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = RuleFile(tmp_path / "file" / "rules")
    with pytest.raises(OSError, match="file"):
        file.add(Rule.parse("allow a"))
    assert file.rules == (Rule.parse("allow a"),)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("run_command", {"command": "git log && npm test"}, ["git *", "npm *"]),
        ("run_command", {"command": "rm -rf build"}, ["rm -rf build"]),
        ("run_command", {"command": "python -c 'x y'"}, ["python -c 'x y'"]),
        ("run_command", {"command": "rm *"}, []),
        ("run_command", {"command": "git log > x"}, []),
        ("run_command", {"command": "a; b; c; d"}, []),
        ("run_command", {"command": "git log " + "x" * 300}, ["git *"]),
        ("run_command", {"command": ""}, []),
        ("write_file", {"path": "src/a/b.py", "content": ""}, ["src/*"]),
        ("write_file", {"path": "a.py", "content": ""}, ["a.py"]),
        ("write_file", {"path": "/etc/hosts", "content": ""}, ["/etc/hosts"]),
        ("write_file", {"path": "../a", "content": ""}, []),
        ("fetch", {"url": "https://x.org/a/b"}, ["https://x.org/*"]),
        ("server__add", {"n": 1}, [None]),
    ],
)
def test_what_is_offered_to_be_allowed(
    tmp_path: Path, name: str, arguments: dict[str, Any], expected: list[str | None]
) -> None:
    suggested = suggested_rules(ToolCall("c1", name, arguments), Rules((), tmp_path))
    assert [rule.pattern for rule in suggested] == expected
    assert all(rule.decision == "allow" and rule.tool == name for rule in suggested)


def test_nothing_is_offered_against_a_rule_that_asks(tmp_path: Path) -> None:
    rules = Rules.parse("ask run_command: git push *", tmp_path)
    assert suggested_rules(ToolCall("c1", "run_command", {"command": "git push"}), rules) == ()


def test_the_policy_of_a_folder_has_the_rules_that_are_kept_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path))
    KeptRules.read(tmp_path, tmp_path).here.add(Rule.parse("deny a"))
    assert policy_of(Mode.ASK, tmp_path).rules.all.rules == (Rule.parse("deny a"),)
