"""Rules about tool calls: what they fit, which of them decides, and what no rule can be tricked into."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether import Agent, Invocation, ToolCall, ToolResultMessage, UsageError, Verdict, tool
from tether.advice.rules import Rule, Rules, approval_by_rules
from tether.advice.shell_commands import read_script
from tether.testing import ScriptedModel, call

RULES = Rules.parse(
    """\
# for this folder
allow run_command: git *
allow run_command: npm test
allow run_command: git commit -m "x *"
ask   run_command: git push *
deny  run_command: git push --force *

allow write_file: src/*
ask   write_file: src/secret/
deny  write_file: **/*.env
allow fetch: https://docs.example.com/*
allow send: to=*@example.com
allow server__*
"""
)


def decision(rules: Rules, name: str, **arguments: object) -> str | None:
    ruling = rules.decide(ToolCall("c1", name, arguments))
    return None if ruling is None else ruling.decision


def command(text: str) -> str | None:
    return decision(RULES, "run_command", command=text)


ALLOWED = [
    *(
        "git",
        "git status",
        "git  log\t-p",
        "'git' \"log\"",
        "g\\it log",
        "git \\\n log",
        "git 'a;b $(c)'",
    ),
    *(
        "git log && npm test",
        "git log | git cat",
        "git a; git b\ngit c &",
        "git log 2>&1 >/dev/null",
    ),
    *("git log # and so on", 'git grep "a$"', "git commit -m 'x y'"),
]
NOT_ALLOWED = [
    *(
        "git status; rm -rf /",
        "git status && rm x",
        "git log | sh",
        "git log\nrm x",
        "git log & rm x",
    ),
    *(
        "git log || rm x",
        "git $(rm x)",
        "git `rm x`",
        'git "$(rm x)"',
        "git $X",
        "git ${X}",
        "(git log)",
    ),
    *("git log > x", "git log >> x", "git log 2> x", "git log < x", "git log >| x", "git log &> x"),
    *(
        "git log <<E\nE",
        "git <(rm x)",
        "git log >&2x",
        "git log > /dev/null/../x",
        "git log >/dev/nullx",
    ),
    *(
        "X=1 git log",
        "gitx",
        "/tmp/git log",
        "./git log",
        "npm test x",
        "npm",
        "",
        "# git",
        "git 'log",
    ),
    *(
        "git() { rm x; }; git",
        "{ git log; }",
        "! git log",
        "if git log; then rm x; fi",
        "git log\r rm x",
    ),
    *("git log\xa0;x", "case x in git) rm;; esac", "git $'a'", "{git,log}", "git |& rm"),
]


@pytest.mark.parametrize("text", ALLOWED)
def test_simple_commands_that_are_allowed_are(text: str) -> None:
    assert command(text) == "allow"


@pytest.mark.parametrize("text", NOT_ALLOWED)
def test_whatever_else_a_shell_would_do_is_not_allowed(text: str) -> None:
    assert command(text) != "allow"
    only = Rules.parse("allow run_command: git *\nallow run_command: npm test")
    assert decision(only, "run_command", command=text) is None


DENIED = [
    *(
        "git push --force",
        "git log; git push --force origin",
        "(git push --force)",
        "echo $(git push --force)",
    ),
    *(
        'echo "$(git push --force)"',
        "`git push --force`",
        "X=1 git push --force",
        "/usr/bin/git push --force",
    ),
    *(
        "sudo -u x git push --force",
        "env X=1 git push --force",
        "xargs git push --force",
        "! git push --force",
    ),
    *(
        "bash -c 'git push --force'",
        "sudo sh -c 'cd x && git push --force'",
        "eval git push --force",
    ),
    *(
        "if x; then git push --force; fi",
        "{ git push --force; }",
        "g''it pu\\sh \"--force\"",
        "x > y; git push --force",
    ),
    *(
        "git \\\n push --force",
        "time nice git push --force",
        "find . -exec git push --force ;",
        "a 'b' |\ngit push --force",
    ),
]


@pytest.mark.parametrize("text", DENIED)
def test_what_is_denied_is_found_wherever_it_stands(text: str) -> None:
    assert command(text) == "deny"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "$X push",
            "git 'log",
            "cat <<E\nit's\nE",
            "case x in y) z;; esac",
            "alias x=git; x",
            "(git log",
            "g?t log",
        ),
        *(
            "sudo $X",
            ". ./x",
            "sh -c 'a; $X'",
            "(" * 5_000,
            "sudo eval " * 500,
            "find " + "x " * 500,
            "git push",
        ),
    ],
)
def test_where_it_cannot_be_known_a_person_is_asked(text: str) -> None:
    assert command(text) == "ask"


def test_where_no_rule_denies_or_asks_what_cannot_be_known_is_left_to_whoever_asks() -> None:
    assert decision(Rules.parse("allow run_command: git *"), "run_command", command="$X") is None
    assert decision(Rules.parse("allow run_command"), "run_command", command="$X > y") == "allow"


SIMPLE = st.sampled_from(
    ["git log", "git", "git 'a b' c", "npm test", "rm x", "gitx", "npm testx", "ls"]
)
BETWEEN = st.sampled_from([";", "&&", "||", "|", "&", "\n", " ; ", "\n\n", " &&\n", "|&"])


@given(st.lists(st.tuples(SIMPLE, BETWEEN), min_size=1))
def test_a_compound_command_is_allowed_exactly_if_each_part_is(
    parts: list[tuple[str, str]],
) -> None:
    rules = Rules.parse("allow run_command: git *\nallow run_command: npm test")
    each = {decision(rules, "run_command", command=one) for one, _ in parts}
    text = "".join(f"{one}{between}" for one, between in parts)
    assert decision(rules, "run_command", command=text) == ("allow" if each == {"allow"} else None)


PIECES = st.lists(
    st.sampled_from(
        [
            "git",
            "rm",
            " ",
            "\t",
            "\n",
            *";&|'\"\\$`(){}<>#!*~=[]?",
            "\\\n",
            "$(",
            "2>&1",
            "x",
            "\r",
            "\xa0",
            "<<E\n",
        ]
    ),
    max_size=20,
)


@given(PIECES, PIECES)
def test_nothing_makes_an_allowed_command_of_one_with_a_part_that_is_not(
    before: Sequence[str], after: Sequence[str]
) -> None:
    """Whatever stands around it, a command on a line of its own is seen, or the whole is not allowed."""
    rules = Rules.parse("allow run_command: git *")
    text = f"{''.join(before)}\nrm -rf /\n{''.join(after)}"
    if decision(rules, "run_command", command=text) == "allow":
        script = read_script(text)
        assert all(words[0] == "git" for words in script.commands)
        quoted = [word for words in script.commands for word in words if "rm -rf /" in word]
        assert quoted or "#" in text or "\\\n" in text


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    script = read_script(text)
    assert script.is_plain <= (not script.obstacle)
    assert all(words for words in script.commands)


@given(st.text(alphabet="ab* ", max_size=8), st.text(alphabet="ab ", max_size=8))
def test_a_pattern_fits_as_a_regular_expression_would(pattern: str, text: str) -> None:
    if not pattern.strip() or ":" in pattern:
        return
    rule = Rule("allow", "say", pattern, "text")
    expected = ".*".join(map(re.escape, pattern.split("*")))
    if pattern.endswith(" *"):
        expected = f"{expected[:-4]}( .*)?" if expected.endswith(r"\ .*") else expected
    fits = decision(Rules([rule]), "say", text=text) == "allow"
    assert fits == bool(re.fullmatch(expected, text, re.DOTALL))


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("write_file", "src/a.py", "allow"),
        ("write_file", "./src/x/../a.py", "allow"),
        ("write_file", "src/../a.py", None),
        ("write_file", "link/a.py", None),
        ("write_file", "src/out/a.py", None),
        ("write_file", "src/secret/a.py", "ask"),
        ("write_file", "src/a.env", "deny"),
        ("write_file", "src/A.ENV", "deny"),
        ("write_file", ".env", "deny"),
        ("write_file", "src/x/../../.env", "deny"),
        ("edit_file", "src/a.py", None),
    ],
)
def test_paths_are_compared_as_they_lead(
    tmp_path: Path, name: str, path: str, expected: str | None
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("src")
    (tmp_path / "src" / "out").symlink_to("../other")
    assert decision(Rules(RULES.rules, tmp_path), name, path=path) == expected


def test_absolute_paths_inside_are_the_same_and_outside_are_others(tmp_path: Path) -> None:
    rules = Rules.parse("allow write_file: src/*\ndeny write_file: /etc/*", tmp_path)
    assert decision(rules, "write_file", path=str(tmp_path / "src" / "a")) == "allow"
    assert decision(rules, "write_file", path="/etc/hosts") == "deny"
    assert decision(rules, "write_file", path="/srv/src/a") is None


def test_other_arguments_are_texts() -> None:
    assert decision(RULES, "fetch", url="https://docs.example.com/a") == "allow"
    assert decision(RULES, "fetch", url="https://docs.example.com.evil/") is None
    assert decision(RULES, "send", to="ada@example.com") == "allow"
    assert decision(RULES, "send", to="ada@example.org") is None
    assert decision(RULES, "send", text="ada@example.com") is None
    assert decision(RULES, "server__drop", table="x") == "allow"
    assert decision(RULES, "other", table="x") is None


def test_a_rule_about_a_named_argument_is_about_no_other(tmp_path: Path) -> None:
    rules = Rules.parse("allow editor: path=src/*\nallow other: path=create", tmp_path)
    assert decision(rules, "editor", command="create", path="src/a") == "allow"
    assert decision(rules, "editor", command="create", path="a") is None
    assert decision(rules, "other", command="create", path="a") is None


def test_deny_wins_and_between_the_others_the_most_specific() -> None:
    rules = Rules.parse("ask run_command\nallow run_command: git *\nallow *\ndeny drop")
    assert decision(rules, "run_command", command="git log") == "allow"
    assert decision(rules, "run_command", command="ls") == "ask"
    assert decision(rules, "read_file", path="x") == "allow"
    assert decision(rules, "drop") == "deny"
    assert decision(Rules.parse("allow a\nask a"), "a") == "ask"
    ruling = RULES.decide(ToolCall("c1", "run_command", {"command": "git push -f"}))
    assert ruling is not None
    assert str(ruling.rule) == "ask run_command: git push *"


@pytest.mark.parametrize(
    "line",
    [
        "allow run_command",
        "deny run_command: git *",
        "ask send: to=*@x.y",
        "allow server__*: path=a b",
    ],
)
def test_a_rule_is_written_as_it_is_read(line: str) -> None:
    assert str(Rule.parse(line)) == line
    assert Rule.parse(str(Rule.parse(f"  {line.replace(': ', ' :  ')} "))) == Rule.parse(line)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("permit run_command", "write allow, ask or deny"),
        ("allow", "write allow, ask or deny"),
        ("allow a b", "write allow, ask or deny"),
        ("allow run_command:", "the pattern of 'allow run_command:' is empty"),
    ],
)
def test_what_is_no_rule_is_told_with_its_line(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Rule.parse(text)
    with pytest.raises(UsageError, match=r"^line 2: "):
        Rules.parse(f"deny a\n{text}")


async def test_a_hook_decides_by_rules_and_asks_about_the_rest() -> None:
    @tool
    async def run_command(command: str) -> str:
        """Run."""
        return f"ran {command}"

    asked: list[str] = []

    def ask(invocation: Invocation) -> Verdict:
        asked.append(invocation.call.arguments["command"])
        return "always"

    commands = ["git log", "git push --force", "ls", "rm x", "git push --force"]
    model = ScriptedModel(*(call("run_command", command=one) for one in commands), "Done.")
    agent = Agent(model, tools=[run_command])
    agent.around_tool(approval_by_rules(RULES, ask))
    await agent.prompt("go")
    assert asked == ["ls"], "always holds, but not against a rule that denies"
    results = [m.text for m in agent.messages if isinstance(m, ToolResultMessage)]
    denied = "This call was denied: the rule `deny run_command: git push --force *` forbids it"
    assert results == ["ran git log", denied, "ran ls", "ran rm x", denied]
