"""A question takes the prompt's place once, and what is typed behind its answer is never thrown away."""

import io
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define

pytest.importorskip("prompt_toolkit")
pty = pytest.importorskip("pty", reason="there is no pseudo-terminal")

from prompt_toolkit import PromptSession  # noqa: E402 - behind the skip
from prompt_toolkit.output import DummyOutput  # noqa: E402 - as above

from tether.cli.door import as_drawing_door, printable, styled  # noqa: E402 - as above
from tether.cli.keyboard import keyboard  # noqa: E402 - as above
from tether.cli.live import Live  # noqa: E402 - as above
from tether.cli.prompt import Prompt  # noqa: E402 - as above
from tether.cli.question import Question  # noqa: E402 - as above


@define
class Person:
    """Types at a terminal that an editor reads."""

    types: Any
    session: "PromptSession[str]"
    prompt: Prompt

    def is_asked(self, question: Question | None) -> None:
        self.prompt.draw(question)

    def is_drawn(self) -> None:
        self.session.app.before_render.fire()

    @property
    def typed(self) -> str:
        return "".join(key.data for key in self.session.app.input.read_keys())


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    here, there = pty.openpty()
    with os.fdopen(here, "wb", buffering=0) as terminal, os.fdopen(there) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        session: PromptSession[str] = PromptSession(input=keyboard(), output=DummyOutput())
        prompt = Prompt(Live(io.StringIO(), width=lambda: 80), session)
        with session.app.input.raw_mode():
            yield Person(terminal.write, session, prompt)


def test_what_was_typed_before_a_question_is_no_answer(person: Person) -> None:
    person.types(b"y\r")
    asked = Question("Sure?")
    person.is_asked(asked)
    person.is_drawn()
    person.is_drawn()
    assert person.prompt.asked is asked
    assert person.typed == ""


def test_an_answered_question_is_not_asked_again_while_the_agent_learns_of_the_answer(
    person: Person,
) -> None:
    person.is_asked(Question("Sure?"))
    person.is_drawn()
    person.prompt.begin()  # the line has been ended; the answer is on its way
    person.types(b"next")
    person.is_drawn()
    assert person.prompt.asked is None
    person.is_asked(None)
    person.is_drawn()
    assert person.typed == "next"


def test_the_question_behind_an_answered_one_is_asked(person: Person) -> None:
    person.is_asked(Question("Sure?"))
    person.is_drawn()
    person.prompt.begin()
    person.is_drawn()
    person.types(b"y")
    second = Question("Quite sure?")
    person.is_asked(second)
    person.is_drawn()
    assert person.prompt.asked is second
    assert person.typed == ""


def test_a_question_is_drawn_when_what_is_too_long_of_it_is_above(
    person: Person,
) -> None:
    asked = Question("Sure?", styled("line\n" * 100))
    printed = False

    class Out(io.StringIO):
        def write(self, text: str) -> int:
            nonlocal printed
            printed = True
            person.is_drawn()  # the editor draws whenever it likes, in its own thread
            assert person.prompt.asked is None
            return super().write(text)

    person.prompt.live.out = as_drawing_door(Out())
    person.is_asked(asked)
    person.is_drawn()
    assert printed
    assert person.prompt.asked is asked
    assert printable(asked.details) == "(what it will do is shown above)\n"
