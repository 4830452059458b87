"""What goes into a request, and what comes of it: templates, fragments, attachments, results, files."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tether import Agent, AssistantMessage, Document, Image, OutputError, Session, Text, UsageError
from tether.cli.arguments import Arguments, parse, with_input
from tether.cli.command_line import SUBCOMMANDS, chosen, read
from tether.cli.main import main
from tether.cli.request import message_of, with_template
from tether.cli.result_schema import schema_from
from tether.cli.session_files import new_session_path
from tether.testing import ScriptedModel, call

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "config" / "templates").mkdir(parents=True)
    return tmp_path / "config"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def arguments(*words: str, piped: str | None = None) -> Arguments:
    stdin = Terminal() if piped is None else io.StringIO(piped)
    name, rest = chosen(words)
    made: Arguments = read(SUBCOMMANDS[name].command, rest)
    return with_template(with_input(made, stdin))


def template(config: Path, text: str, name: str = "review.md") -> None:
    (config / "templates" / name).write_text(text)


REVIEW = """\
---
description: Review a change
model: openai:gpt-5
system: You know $language.
defaults:
  language: Python
fragments: [style]
---
Review, for $reader:

$input
"""


def test_a_template_is_filled(config: Path) -> None:
    template(config, REVIEW)
    made = arguments("-t", "review", "-p", "reader", "Ada", "be kind", piped="+ a line\n")
    assert made.request == "Review, for Ada:\n\nbe kind\n\n+ a line"
    assert (made.system, made.model, made.fragment) == (
        "You know Python.",
        "openai:gpt-5",
        ["style"],
    )
    mine = arguments("-t", "review", "-p", "reader", "x", "-m", "offline", "--system", "S", "hi")
    assert (mine.system, mine.model) == ("S", "offline")


def test_a_template_of_llm_is_read(config: Path) -> None:
    template(config, "system: Summarise.\nprompt: 'Text: $input $$5'\n", "sum.yaml")
    made = arguments("-t", "sum", piped="a b")
    assert (made.request, made.system) == ("Text: a b $5", "Summarise.")


@pytest.mark.parametrize(
    ("text", "words", "request_"),
    [
        ("Say hello.", ["-t", "review"], "Say hello."),
        ("Say hello.", ["-t", "review", "to Ada"], "Say hello.\n\nto Ada"),
        ("---\nsystem: S\n---\n", ["-t", "review", "hi"], "hi"),
    ],
)
def test_a_request_stands_behind_a_template_without_a_place_for_it(
    config: Path, text: str, words: list[str], request_: str
) -> None:
    template(config, text)
    assert arguments(*words).request == request_


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-t", "review", "hi"], "needs `-p reader VALUE`"),
        (["-t", "review", "-p", "reader", "x"], "needs a request"),
        (["-t", "review", "-p", "reader", "x", "-p", "other", "y", "hi"], "no variable .other"),
        (["-t", "revue", "hi"], "no template is called 'revue'; there are: broken, review"),
        (["-t", "./none.md", "hi"], "No such file"),
        (["-t", "broken", "hi"], "broken.md"),
        (["-p", "a", "b", "hi"], "name one with -t"),
    ],
)
def test_what_a_template_lacks_is_said(config: Path, words: list[str], said: str) -> None:
    template(config, REVIEW)
    template(config, "---\nsystem: [1]\n---\nhi", "broken.md")
    with pytest.raises(UsageError, match=said):
        arguments(*words)


@pytest.mark.parametrize(
    "text", ["system: [a\nprompt: x", "[" * 3000, "prompt: \x1b[2Jx", "2026-13-45"]
)
def test_a_template_that_is_no_yaml_is_told_in_a_line(config: Path, text: str) -> None:
    template(config, text, "sum.yaml")
    with pytest.raises(UsageError, match=r"sum\.yaml: it is no YAML: .") as raised:
        arguments("-t", "sum", "hi")
    assert len(str(raised.value).splitlines()) == 1


def test_a_list_of_nothing_is_wrong_usage(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema-multi", "name", "who wrote it?"]) == 2
    assert "--schema-multi needs --schema" in capsys.readouterr().err
    template(config, "---\nschema: name\n---\nWho wrote it?")
    made = arguments("-t", "review", "--schema-multi")
    assert (made.schema, made.schema_multi) == ("name", True)


def test_templates_are_listed_and_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template(config, REVIEW)
    assert main(["templates"]) == 0
    assert main(["templates", "show", "review"]) == 0
    assert main(["templates", "path"]) == 0
    out = capsys.readouterr().out
    assert "review           Review a change" in out
    assert REVIEW in out
    assert out.endswith(f"{config / 'templates'}\n")
    assert main(["templates", "show", "none"]) == 2


def test_a_template_is_edited_and_a_new_one_begun(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "Say $1" | head -c 4 > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    assert main(["templates", "edit", "new"]) == 0
    assert (config / "templates" / "new.md").read_text() == "Say "
    assert main(["templates", "edit", "../out"]) == 2


def test_fragments_stand_before_the_request(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("from a file\n")
    assert main(["fragments", "set", "kept", "a.md"]) == 0
    made = arguments("-f", "a.md", "-f", "kept", "-f", "-", "go", piped="piped\n")
    assert [block.text for block in message_of(made, print).content if isinstance(block, Text)] == [
        "from a file",
        "from a file",
        "piped\n",
        "go",
    ]
    assert main(["fragments", "remove", "kept"]) == 0
    with pytest.raises(UsageError, match="no fragment or file is called 'kept'"):
        message_of(arguments("-f", "kept", "go"), print)


def test_files_and_images_are_attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(PIXEL)
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4\n")
    (tmp_path / "c.txt").write_text("text")
    words = ("--image", "a.png", "--file", "b.pdf", "--image", "https://x.example/y.png", "what?")
    kinds = [type(block) for block in message_of(arguments(*words), print).content]
    assert kinds == [Text, Document, Image, Image]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PIXEL)))
    made = with_input(read(SUBCOMMANDS["ask"].command, ["--image", "-", "what?"]), sys.stdin)
    assert [type(block) for block in message_of(made, print).content] == [Text, Image]
    for option, name in (
        ("--image", "c.txt"),
        ("--image", "none"),
        ("--file", "none"),
    ):
        with pytest.raises(UsageError, match=f"{option} {name}"):
            message_of(arguments(option, name, "hi"), print)


def test_a_text_is_put_behind_the_system_prompt() -> None:
    assert parse(["--append-system", "Be brief.", "hi"], Terminal()).append_system == "Be brief."


OBJECT = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


@pytest.mark.parametrize(
    "text", ["name, age int", "name str\nage int", json.dumps(OBJECT), "s.json"]
)
def test_a_schema_is_given_in_several_ways(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(OBJECT))
    assert schema_from(text) == OBJECT


def test_the_short_form_describes_fields_and_lists() -> None:
    schema = schema_from("ok bool: whether it works, score float", several=True)
    assert schema["properties"]["items"]["items"]["properties"] == {
        "ok": {"type": "boolean", "description": "whether it works"},
        "score": {"type": "number"},
    }


@pytest.mark.parametrize("text", ["", "name text", "a b c", "{", "none.json", "int: x y, : b"])
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        schema_from(text)


@pytest.mark.parametrize(
    ("schema", "wrong", "right", "result"),
    [
        (OBJECT, {"name": "Ada"}, {"name": "Ada", "age": 36}, {"name": "Ada", "age": 36}),
        (
            {"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "integer"}}},
            {"result": ["x"]},
            {"result": [1, 2]},
            [1, 2],
        ),
    ],
)
async def test_a_run_has_a_result_of_a_json_schema(
    schema: Any, wrong: Any, right: Any, result: Any
) -> None:
    model = ScriptedModel(call("final_result", **wrong), call("final_result", **right))
    assert (await Agent(model).prompt("go", output=schema)).output == result
    with pytest.raises(OutputError, match="1 attempt failed"):
        failing = Agent(ScriptedModel(call("final_result", **wrong), "?"))
        await failing.prompt("go", output=schema, output_attempts=1)
    with pytest.raises(UsageError, match="not a JSON Schema"):
        await Agent(ScriptedModel("x")).prompt("go", output={"type": "nothing"})


def scripted(config: Path, *replies: str) -> None:
    (config / "init.py").write_text(
        "from tether.testing import ScriptedModel, call\n"
        f"app.model('mine')(lambda: ScriptedModel({', '.join(replies)}))\n"
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_result_alone_is_printed_as_json(
    backend: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted(config, "call('final_result', name='Ada', age=36)")
    assert main(["--backend", backend, "-m", "mine", "--schema", "name, age int", "who?"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "Ada", "age": 36}


def test_without_a_result_the_command_fails(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted(config, *["'words'"] * 3)
    assert main(["-m", "mine", "--schema", "name", "who?"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "there is no result: 3 attempts failed" in err


def test_the_answer_goes_to_a_file(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted(config, "'An answer.'")
    assert main(["-m", "mine", "--output", "out.md", "hi"]) == 0
    assert (tmp_path / "out.md").read_text() == "An answer.\n"
    assert capsys.readouterr().out == ""
    assert main(["-m", "mine", "--output", "no/out.md", "hi"]) == 2
    assert "--output no/out.md: No such file" in capsys.readouterr().err


def test_an_option_of_a_request_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["--schema", "name", "--model", "offline"]) == 2


def test_the_last_conversation_is_continued(config: Path, tmp_path: Path) -> None:
    assert main(["-c", "go on"]) == 2
    path = new_session_path(tmp_path)
    with Session.open(path) as session:
        session.record(AssistantMessage([Text("hello")]))
    scripted(config, "'Again.'")
    assert main(["-m", "mine", "-c", "go on"]) == 0
    with Session.open(path) as session:
        assert [message.text for message in session.messages] == ["hello", "go on", "Again."]
