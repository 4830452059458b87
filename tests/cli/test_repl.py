"""The conversation at a real terminal, seen and typed as by a person."""

import re
import shutil
import subprocess
import sys
import termios
from pathlib import Path

import pexpect
import pytest
from tests.cli.screen import Terminal, terminal

BACKENDS = ["asyncio", "trio"]

INIT = '''\
from tether.testing import ScriptedModel, call
app.model("mine")(lambda: ScriptedModel(call("shout", text="hi"), "Done."))
@app.tool
def shout(text: str) -> str:
    """Shout."""
    return text.upper()
app.hook("before_tool")(lambda invocation: print("hooked"))
@app.around_tool
async def twice(invocation, proceed):
    return (await proceed(invocation)).content[0].text * 2
@app.command()
def greet(name: str) -> str:
    """Greet."""
    return f"Hello, {name}!"
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "config").mkdir()
    return tmp_path


def scripted(folder: Path, *replies: str, before: str = "") -> None:
    """Have the model `mine` say what is written here, as Python."""
    (folder / "config" / "init.py").write_text(
        "import anyio, tether\n"
        "from tether.testing import Pause, ScriptedModel, call\n"
        "tether.go_on = go_on = anyio.Event()\n"
        f"{before}\n"
        f"app.model('mine')(lambda: ScriptedModel({', '.join(replies)}))\n"
    )


def evaluated(there: Terminal, code: str, value: str) -> None:
    there.says(f"/eval {code}")
    there.until(lambda: value in there.lines())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_conversation_is_held(folder: Path, backend: str) -> None:
    with terminal(folder, "--backend", backend) as there:
        there.says("read a.txt")
        there.until("* read_file(path='a.txt')")
        there.until("2 turns")
        there.says("write hello to b.txt")
        there.until("Run it?")
        there.says("y")
        there.until("* write_file")
        there.until(lambda: there.text().count("2 turns") == 2)
        there.until_at_rest()
        there.says("/quit")
        assert there.until_gone() == 0
    assert (folder / "b.txt").read_text().strip() == "hello"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reply_is_markdown_while_it_streams(folder: Path, backend: str) -> None:
    scripted(folder, '["# Plan\\n\\nIt is **bold", Pause(go_on), "er** than `code`.\\n\\n- one"]')
    with terminal(folder, "--backend", backend, "--model", "mine") as there:
        there.says("go")
        there.until("It is **bold")
        there.until(lambda: "Plan" in there.lines())
        title = there.lines().index("Plan")
        assert any(there.screen.buffer[title][column].bold for column in range(120))
        there.says("/eval tether.go_on.set()")
        there.until("It is bolder than code.")
        there.until(" • one")
        there.until("1 turn,")
        assert "**" not in there.text().replace("> /eval", "")


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_typed_meanwhile_steers_and_a_second_key_queues(folder: Path, backend: str) -> None:
    scripted(folder, '["Long", Pause(go_on), " story."]', '"Short."', '"Bye."')
    with terminal(folder, "--backend", backend, "--model", "mine") as there:
        there.says("tell")
        there.until("Long")
        there.until("Esc stops | Enter steers, Ctrl-Q queues")
        there.says("Shorter!")
        there.until("the agent reads it after this step")
        there.types("Then say bye.\x11")
        there.until("the agent reads it when it has finished")
        there.says("/eval tether.go_on.set()")
        there.until("3 turns")
        evaluated(there, "[m.text for m in agent.messages]", repr(
            ["tell", "Long story.", "Shorter!", "Short.", "Then say bye.", "Bye."]
        ))  # fmt: skip


def test_the_terminal_is_the_editors_until_another_program_has_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is typed between two lines, or while something is printed, is not shown twice, and no key is lost."""
    watch = """
import termios
set_modes, tether.echoing = termios.tcsetattr, []
def watched(fd, when, modes):
    tether.echoing.append(bool(modes[3] & termios.ECHO))
    set_modes(fd, when, modes)
termios.tcsetattr = watched
"""
    script = folder / "edit"
    script.write_text('#!/bin/sh\nstty -a < /dev/tty > modes\necho "all new" > "$1"\n')
    script.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    scripted(folder, '"One."', '"Two."', '"Three."', before=watch)
    with terminal(folder, "--model", "mine") as there:
        for turns, word in enumerate(["first", "second"], start=1):
            there.says(word)
            there.until(lambda turns=turns: there.text().count("1 turn,") == turns)  # type: ignore[misc]  # bound
        evaluated(there, "tether.echoing and not any(tether.echoing)", "True")
        there.types("half a line\x18\x05")
        there.until("> all new")
        assert re.search(r"\sicanon .*\secho\s", (folder / "modes").read_text(), re.DOTALL)
        there.types("\r")
        there.until("Three.")
        there.says("/quit")
        assert there.until_gone() == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_terminal_is_given_back(folder: Path, backend: str) -> None:
    with terminal(folder, "--backend", backend) as there:
        modes = termios.tcgetattr(there.child.child_fd)[3]
        assert not modes & (termios.ECHO | termios.ICANON | termios.ISIG)
        there.says("/quit")
        there.child.wait()
        modes = termios.tcgetattr(there.child.child_fd)[3]
        assert modes & termios.ECHO
        assert modes & termios.ICANON
        assert modes & termios.ISIG


@pytest.mark.parametrize("backend", BACKENDS)
def test_esc_cuts_off_ctrl_c_stops_and_then_leaves(folder: Path, backend: str) -> None:
    scripted(
        folder,
        'call("hang")',
        '["Never", Pause()]',
        '"Still here."',
        before='@app.tool\nasync def hang() -> None:\n    """Hang."""\n    await anyio.sleep_forever()',
    )
    with terminal(folder, "--backend", backend, "--model", "mine") as there:
        there.says("go")
        there.until(lambda: re.search(r"hang\(\) \d+\.\d s", there.text()) is not None)
        there.types("half a line\x1b")
        there.until("! hang()")
        there.until("Never")
        there.until("> half a line")
        there.types("\x15")
        there.types("\x03")
        there.until("; stopped")
        there.until_at_rest()
        there.says("are you there?")
        there.until("Still here.")
        there.until("1 turn,")
        there.until_at_rest()
        there.types("half a line")
        there.until("> half a line")
        there.types("\x03")
        there.until(lambda: not any("half a line" in line for line in there.lines()))
        there.types("\x03")
        there.until("once more")
        there.types("\x03")
        assert there.until_gone() == 0


@pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`")
def test_ctrl_c_cuts_off_a_command(folder: Path) -> None:
    with terminal(folder, "--yes") as there:
        there.says("run echo begun; sleep 1000")
        there.until("| begun")
        there.types("\x1b")
        there.until("interrupted")
        there.until("2 turns")


def test_a_command_that_takes_long_is_cut_off_too(folder: Path) -> None:
    with terminal(folder) as there:
        there.says("/eval await __import__('anyio').sleep_forever()")
        there.says("/tools")
        there.types("\x03")
        there.until("(interrupted)")
        there.until("read_file: ")


def test_several_tools_run_at_once_each_with_its_own_output(folder: Path) -> None:
    tool = """
@app.tool
async def work(name: str, context: tether.ToolContext[None]) -> str:
    '''Work.'''
    for number in range(100):
        await context.update(f"{name} {number} \\x1b[2J")
    await tether.go_on.wait()
    return name
"""
    calls = ", ".join(f'call("work", name="{name}")' for name in "abc")
    scripted(folder, f"[{calls}]", '"All done."', before=tool)
    with terminal(folder, "--model", "mine") as there:
        there.says("go")
        there.until(lambda: all(f"| {name} 99" in there.text() for name in "abc"))
        drawn = [line for line in there.lines() if "work(" in line or "  | " in line]
        assert [line[2] for line in drawn[::6]] == ["w", "w", "w"], drawn
        assert [line.strip() for line in drawn[1:6]] == [f"| a {n}" for n in range(95, 100)]
        there.says("/eval tether.go_on.set()")
        there.until("All done.")
        there.until("2 turns")
        settled = there.text().partition("* work(")[2]
        assert settled.count("... 95 lines;") == 3
        for name in "abc":
            assert settled.count(f"| {name} 99") == 1


@pytest.mark.parametrize("lines", [2_000, pytest.param(10_000, marks=pytest.mark.thorough)])
def test_thousands_of_lines_of_output_do_no_harm(folder: Path, lines: int) -> None:
    with terminal(folder, "--yes") as there:
        sizes = []
        for turns in (1, 2, 3):
            # Written at once: what comes piece by piece may stop within a line, which then counts as two.
            there.says(f"run seq {lines} > numbers; cat numbers")
            there.until(lambda turns=turns: there.text().count("2 turns") == turns)  # type: ignore[misc]  # bound
            sizes.append(_resident(there))
        assert there.text().count(f"... {lines - 5:,} lines; Ctrl-O shows all") == 3
        assert sizes[2] - sizes[1] < 8_000, f"KiB after each: {sizes}"
        before = there.received
        there.says(f"/eval '\\n'.join(map(str, range({lines})))")
        there.until(f"\n{lines - 1}\n")
        assert there.received - before < 2_000_000


def _resident(there: Terminal) -> int:
    status = Path(f"/proc/{there.child.pid}/status")
    if not status.exists():
        pytest.skip("there is no /proc to read the memory of a process from")
    return int(re.findall(r"VmRSS:\s+(\d+)", status.read_text())[0])


def test_wide_characters_and_another_size(folder: Path) -> None:
    line = "漢字かな" * 20
    scripted(folder, f'"{line}"', f'["{line}", Pause(go_on), "!"]', '"narrow **and** fine"')
    with terminal(folder, "--model", "mine", columns=61) as there:
        there.says("wide")
        there.until("1 turn,")
        # pyte keeps an empty cell behind a wide character.
        assert _kanji(there) == [30, 30, 20]
        there.says("again")
        there.until(lambda: _kanji(there) == [30, 30, 20] * 2)
        there.resize(41, 40)
        there.until(lambda: _kanji(there)[-4:] == [20, 20, 20, 20])
        there.says("/eval tether.go_on.set()")
        there.until(lambda: there.text().count("1 turn,") == 2)
        there.resize(100, 40)
        there.says("last")
        there.until("narrow and fine")
        assert _kanji(there)[-4:] == [20, 20, 20, 20]


def _kanji(there: Terminal) -> list[int]:
    return [len(found) for found in re.findall("[漢字かな]+", there.text())]


def test_what_is_pasted_is_one_text(folder: Path) -> None:
    scripted(folder, '"Fine."')
    with terminal(folder, "--model", "mine") as there:
        there.types("\x1b[200~first\n  second\t漢字\nthird\x1b[201~")
        there.until("third")
        there.says(" and more")
        there.until("Fine.")
        there.says("/eval repr(agent.messages[0].text)")
        there.until(repr("first\n  second\t漢字\nthird and more"))


def test_completion_of_commands_files_models_and_ids(folder: Path) -> None:
    scripted(folder, '"One."', '"Two."')
    with terminal(folder, "--model", "mine") as there:
        there.types("/thi\t high\r")
        there.until("thinking: high")
        there.types("see @a.t\t")
        there.until("> see @a.txt")
        there.types("\r")
        there.until("1 turn,")
        there.types("/model min\t\r")
        there.until("> /model mine")
        there.says("/eval agent.session.head[:8]")
        there.until(lambda: bool(re.findall("^[0-9a-f]{8}$", there.text(), re.MULTILINE)))
        [head] = re.findall("^[0-9a-f]{8}$", there.text(), re.MULTILINE)
        there.types(f"/fork {head[:5]}\t\r")
        there.until(f"> /fork {head}")
        there.until("2 messages on this branch")


def test_an_init_file_of_fifteen_lines_makes_it_ones_own(folder: Path) -> None:
    (folder / "config" / "init.py").write_text(INIT)
    assert len(INIT.splitlines()) <= 15
    with terminal(folder, "--model", "mine") as there:
        there.says("go")
        there.until("hooked")
        there.until("* shout(text='hi')")
        there.until("Done.")
        there.says("/greet Ada")
        there.until("Hello, Ada!")
        evaluated(there, "agent.messages[2].text", "HIHI")
        there.says("/describe shout")
        there.until("wrapped by twice")
        there.until("init.py:")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_conversation_is_forked_and_reloaded_and_exported(folder: Path, backend: str) -> None:
    scripted(folder, '"One."', '"Two."', '"Three."', before='app.prompt("ask", "What is")')
    with terminal(folder, "--backend", backend, "--model", "mine") as there:
        there.says("first")
        there.until("One.")
        there.says("/ask second")
        there.until("Two.")
        there.says("/undo")
        there.until("2 messages are left")
        there.says("third")
        there.until("Three.")
        there.says("/tree")
        there.until(
            lambda: bool(re.findall(r"(?m)^  \w{8}  ├─ you: What is second$", there.text()))
        )
        there.until(lambda: bool(re.findall(r"(?m)^\* \w{8}  └─ you: third$", there.text())))
        (folder / "config" / "init.py").write_text("app.prompt('other', 'x')\n1 / 0")
        there.says("/reload")
        there.until("ZeroDivisionError")
        there.says("/ask again")
        there.until("there is no command 'ask'")
        evaluated(there, "len(agent.messages), *app.prompts", "(4, 'other')")
        there.says("/export talk.html")
        there.until("written to talk.html")
        there.says("/export talk.md")
        there.until("written to talk.md")
    assert "<p>Three.</p>" in (folder / "talk.html").read_text()
    assert "## user\n\nthird" in (folder / "talk.md").read_text()


def test_a_broken_init_file_is_shown_and_the_rest_works(folder: Path) -> None:
    scripted(folder, '"Works."', before="")
    init = folder / "config" / "init.py"
    init.write_text(f"{init.read_text()}\nraise LookupError('so there')\n")
    with terminal(folder, "--model", "mine") as there:
        assert "LookupError: so there" in there.text()
        assert 'init.py", line' in there.text()
        there.says("hello")
        there.until("Works.")


def test_a_key_of_ones_own_leaves_the_line_alone(folder: Path) -> None:
    key = "@app.key('c-t')\ndef told(talk):\n    '''Tell.'''\n    talk.tell('pressed')"
    scripted(folder, '"Heard."', before=key)
    with terminal(folder, "--model", "mine") as there:
        there.types("hel\x14")
        there.until("pressed")
        there.says("lo")
        there.until("> hello")
        there.until("Heard.")
        there.says("/describe c-t")
        there.until("key c-t: Tell.")


def test_keys_that_are_loaded_again_hold_for_the_line_that_is_typed(folder: Path) -> None:
    scripted(folder, '"Heard."', before="")
    init = folder / "config" / "init.py"
    with terminal(folder, "--model", "mine") as there:
        bound = "app.key({!r})(lambda talk: talk.tell('pressed'))\n"
        init.write_text(init.read_text() + bound.format("c-t") + bound.format("nosuch"))
        there.says("/reload")
        there.until("loaded again")
        there.types("hel")
        there.until("> hel")
        there.until("no key is called 'nosuch'")
        there.types("\x14lo")
        there.until("pressed")
        there.until("> hello")


def test_a_conversation_is_kept_and_gone_on_with(folder: Path) -> None:
    with terminal(folder) as there:
        there.says("list .")
        there.until("2 turns")
        there.types("\x04")
        assert there.until_gone() == 0
    with terminal(folder, "resume") as there:
        there.until("(4 messages; the last ones:)\n> list .")
        there.says("read a.txt")
        there.until("2 turns")
        there.says("/quit")
        assert there.until_gone() == 0
    with terminal(folder) as there:
        there.says("/quit")  # without a word
        assert there.until_gone() == 0
    [kept] = (folder / "data").rglob("*.jsonl")
    there_again = terminal(folder, "resume", kept.stem[:-2], "--backend", "trio")
    with there_again as there:
        there.until("(8 messages; the last ones:)\n> read a.txt")


def test_a_dumb_terminal_will_do(folder: Path) -> None:
    with terminal(folder, term="dumb", ready="offline model") as there:
        before = there.received
        there.child.sendline("list .")
        there.until("a.txt")
        there.until("2 turns")
        there.child.sendline("/cost")
        there.until("tokens in")
        there.child.sendeof()
        assert there.until_gone() == 0
        assert "\x1b" not in there.raw
        assert there.received > before


def test_lines_that_are_piped_are_a_request(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tether.cli", "--no-init"],
        input="list .",
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "a.txt" in done.stdout
    assert "\x1b" not in done.stdout


def test_an_id_that_nobody_has_is_told(folder: Path) -> None:
    told = "no conversation with an id that starts with 'zz' is kept"
    with pytest.raises(pexpect.EOF, match=told), terminal(folder, "resume", "zz"):
        pass


def test_keys_are_heard_while_output_streams_without_end(folder: Path) -> None:
    """Each key is shown before the next is typed, and the tool that floods ends only when it is told to."""
    tool = """
@app.tool
async def flood(context: tether.ToolContext[None]) -> str:
    '''Flood.'''
    while not tether.go_on.is_set():
        for number in range(100):
            await context.update(f"line {number} " + "x" * 2_000)
        await anyio.sleep(0.01)
    return "z" * 200_000
"""
    scripted(folder, 'call("flood")', '"Dry."', before=tool)
    with terminal(folder, "--model", "mine", columns=80, lines=24) as there:
        there.says("go")
        there.until("| line 99")
        line = "/eval tether.go_on.set()"
        for end in range(1, len(line) + 1):
            there.types(line[end - 1])
            there.until(lambda end=end: f"> {line[:end]}".rstrip() in there.lines())  # type: ignore[misc]  # bound
        there.types("\r")
        there.until("* flood()")
        there.until("Dry.")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to suspend in")
def test_ctrl_z_suspends_and_fg_goes_on(folder: Path) -> None:
    command = f"{sys.executable} -m tether.cli --no-init"
    with terminal(folder, shell="bash --norc --noprofile -i", ready="bash-") as there:
        there.says(command)
        there.until("ask | offline")
        there.types("half")
        there.until("> half")
        there.types("\x1a")
        there.until("Stopped")
        there.says("echo $((40 + 2))")
        there.until("\n42")
        # What is typed before tether has the terminal again is not lost.
        there.types("fg\r a line")
        there.until("> half a line")
        there.until("ask | offline")
