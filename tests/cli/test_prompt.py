"""A question takes the prompt's place once, and what is typed behind its answer is never thrown away."""

import os
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, field

pytest.importorskip("prompt_toolkit")
pty = pytest.importorskip("pty", reason="there is no pseudo-terminal")

from prompt_toolkit import PromptSession  # noqa: E402 - behind the skip
from prompt_toolkit.output import DummyOutput  # noqa: E402 - as above

from tether.cli.keyboard import keyboard  # noqa: E402 - as above
from tether.cli.prompt import Prompt  # noqa: E402 - as above
from tether.cli.question import Question  # noqa: E402 - as above


@define
class Person:
    """Types at a terminal that an editor reads."""

    types: Any
    session: "PromptSession[str]"
    prompt: Prompt
    conversation: Any = field()

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
        conversation = SimpleNamespace(question=None)
        live: Any = None  # draws nothing here
        prompt = Prompt(conversation, live, session)  # type: ignore[arg-type]  # only its question is looked at
        with session.app.input.raw_mode():
            yield Person(terminal.write, session, prompt, conversation)


def test_what_was_typed_before_a_question_is_no_answer(person: Person) -> None:
    person.types(b"y\r")
    person.conversation.question = asked = Question("Sure?")
    person.is_drawn()
    person.is_drawn()
    assert person.prompt.asked is asked
    assert person.typed == ""


def test_an_answered_question_is_not_asked_again_while_the_agent_learns_of_the_answer(
    person: Person,
) -> None:
    person.conversation.question = Question("Sure?")
    person.is_drawn()
    person.prompt.begin()  # the line has been ended; the answer is on its way
    person.types(b"next")
    person.is_drawn()
    assert person.prompt.asked is None
    person.conversation.question = None
    person.is_drawn()
    assert person.typed == "next"


def test_the_question_behind_an_answered_one_is_asked(person: Person) -> None:
    person.conversation.question = Question("Sure?")
    person.is_drawn()
    person.prompt.begin()
    person.is_drawn()
    person.types(b"y")
    person.conversation.question = second = Question("Quite sure?")
    person.is_drawn()
    assert person.prompt.asked is second
    assert person.typed == ""
