"""Commands by a line of text: arguments, help, completion."""

import enum
from typing import Any, Literal

import pytest

from tether import Commands, UsageError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class App:
    """What commands work on."""


@pytest.fixture
def commands() -> Commands:
    known = Commands(App)

    @known.command("fork", complete={"entry": lambda _: ["3f2a", "3f2b", "77"]})
    async def fork(
        app: App, entry: str, keep: Literal["all", "none"] = "all", dry_run: bool = False
    ) -> tuple[Any, ...]:
        """Go back to an earlier entry.

        Nothing is lost.

        Args:
            entry: where to
            keep: what to take along
        """
        return app, entry, keep, dry_run

    @known.command(help="Paint it.")
    def paint_it(colour: Colour, times: int = 1) -> tuple[Any, ...]:
        return colour, times

    @known.command()
    def say(loud: bool = False, *words: str) -> str:
        """Say something."""
        return " ".join(words).upper() if loud else " ".join(words)

    @known.command(raw=True)
    def echo(text: str) -> str:
        """Say it as it is."""
        return text

    return known


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("fork 3f", ("app", "3f", "all", False)),
        ("fork 3f none --dry-run", ("app", "3f", "none", True)),
        ("fork --keep=none --entry 3f", ("app", "3f", "none", False)),
        ("fork '3 f'", ("app", "3 f", "all", False)),
        ("paint-it red", (Colour.RED, 1)),
        ("paint blue 3", (Colour.BLUE, 3)),
        ("say", ""),
        ("say a b --loud", "a b --loud"),
        ("say a -- b", "a -- b"),
        ('echo it\'s "so" --loud', 'it\'s "so" --loud'),
        ("say --loud a 'b c'", "A B C"),
        ("say --loud=false a", "a"),
    ],
)
async def test_a_line_is_split_checked_and_run(commands: Commands, line: str, result: Any) -> None:
    app = App()
    expected = tuple(app if part == "app" else part for part in result)
    assert await commands.run(line, app) == (result if isinstance(result, str) else expected)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "no command ''"),
        ("frok 3", "there is no command 'frok'; did you mean fork"),
        ("fork", r"entry: is missing \(usage: fork entry \[all\|none\] \[--dry-run\]\)"),
        ("fork 3 some", 'allowed: "all", "none"'),
        ("fork 3 all more", "'more' is one word too many"),
        ("fork 3 --keep", "--keep wants a value"),
        ("fork 'x", "cannot be read: no closing quotation"),
        ("paint-it green many", "colour: .*; times: expected int, got str"),
    ],
)
async def test_what_does_not_fit_is_told(commands: Commands, line: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        await commands.run(line, App())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "there is no command ''"),
        ("x" * 1_000_000, f"there is no command '{'x' * 79}…'"),
        (
            "do-",
            f"there is no command 'do-'; did you mean {' or '.join(f'do-{n:02}' for n in range(10))}?",
        ),
    ],
    ids=["none", "long", "many"],
)
def test_an_error_about_a_name_is_short(name: str, told: str) -> None:
    commands = Commands()
    for number in range(40):
        commands.command(f"do-{number:02}")(lambda: None)
    with pytest.raises(UsageError) as caught:
        commands[name]
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("", ["echo", "fork", "paint-it", "say"]),
        ("f", ["fork"]),
        ("fork ", ["3f2a", "3f2b", "77"]),
        ("fork 3", ["3f2a", "3f2b"]),
        ("fork 3f2a ", ["all", "none"]),
        ("fork 3f2a n", ["none"]),
        ("fork 3f2a none ", []),
        ("fork --", ["--entry", "--keep", "--dry-run"]),
        ("fork --keep ", ["all", "none"]),
        ("fork --dry-run 7", ["77"]),
        ("paint-it b", ["blue"]),
        ("say x", []),
        ("nothing ", []),
    ],
)
def test_the_last_word_is_completed(commands: Commands, line: str, completions: list[str]) -> None:
    assert commands.complete(line) == completions


def test_help_comes_from_signature_and_docstring(commands: Commands) -> None:
    assert commands.help().splitlines() == [
        "echo text                          Say it as it is.",
        "fork entry [all|none] [--dry-run]  Go back to an earlier entry.",
        "paint-it red|blue [times]          Paint it.",
        "say [--loud] [words ...]           Say something.",
    ]
    assert commands.help("fork").splitlines() == [
        "fork entry [all|none] [--dry-run]",
        "",
        "Go back to an earlier entry.",
        "",
        "Nothing is lost.",
        "  entry: where to",
        "  keep: what to take along",
    ]


def test_commands_are_replaced_and_removed(commands: Commands) -> None:
    @commands.command("say")
    def other() -> None:
        """Say something else."""

    assert commands["say"].help == "Say something else."
    assert len(commands) == 4
    commands.remove("say")
    assert "say" not in commands
    with pytest.raises(UsageError, match="no command 'say'"):
        commands.remove("say")


@pytest.mark.parametrize("name", ["two words", "", "/x"])
def test_a_name_that_cannot_be_typed_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        Commands().command(name or "-")(lambda: None)


def test_a_parameter_that_cannot_be_made_of_words_is_refused() -> None:
    def wrong(value: complex) -> None: ...

    with pytest.raises(UsageError, match="'value' cannot be made of words"):
        Commands().command()(wrong)
