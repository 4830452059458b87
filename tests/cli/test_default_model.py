"""Where a conversation goes: with which model, and to which server."""

from pathlib import Path
from typing import Any

import pytest

from tether import Agent, Session, UsageError, UserMessage, model_from_name
from tether._recording import Recording
from tether.cli.arguments import parse
from tether.cli.assembly import chosen_model
from tether.cli.conversation import Conversation
from tether.cli.default_model import chosen_address, held_with
from tether.cli.extensions import App
from tether.cli.session_files import new_session_path
from tether.cli.slash_commands import slash_commands
from tether.models.catalogue import own_server

HERE = "http://127.0.0.1:8000/v1"
THERE = "http://gateway.example/v1"
VENDOR = {"ANTHROPIC_API_KEY": "sk-key", "TETHER_MODEL": "openai:gpt-5"}


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    return new_session_path(tmp_path)


def held(path: Path, name: str, base_url: str | None = None) -> None:
    """Hold a conversation, as far as its session goes."""
    with Session.open(path) as session:
        agent = Agent(model_from_name(name, base_url=base_url, api_key="k"), session=session)
        Recording(agent).record(UserMessage("hi"))


def resumed(path: Path, *words: str) -> tuple[str, str | None]:
    """Go on, as the command does; return the model, and its server if that is not the provider's own."""
    arguments: Any = parse(["resume", *words], Terminal())  # type: ignore[arg-type]  # as far as it is asked
    with Session.open(path) as session:
        app = App(Agent("offline", session=session), slash_commands())
        model = chosen_model(
            app, model=arguments.model, base_url=arguments.base_url, path=path, environ=VENDOR
        )
    return model.name, own_server(model)


@pytest.mark.parametrize(
    ("name", "base_url"),
    [
        ("openai-chat:x", HERE),
        ("openai-chat:x", THERE),
        ("anthropic:y", THERE),
        ("ollama:x", None),
        ("groq:x", None),
    ],
)
def test_a_conversation_goes_on_where_it_was_held(
    kept: Path, name: str, base_url: str | None
) -> None:
    held(kept, name, base_url)
    assert resumed(kept) == (name, base_url)


def test_another_model_is_at_the_same_address_unless_another_is_given(kept: Path) -> None:
    held(kept, "openai-chat:x", THERE)
    assert resumed(kept, "--model", "openai-chat:z") == ("openai-chat:z", THERE)
    assert resumed(kept, "--model", "anthropic:z") == ("anthropic:z", THERE)
    assert resumed(kept, "--base-url", HERE) == ("openai-chat:x", HERE)
    away = ("--model", "anthropic:z", "--base-url", "default")
    assert resumed(kept, *away) == ("anthropic:z", None)


def test_a_conversation_with_the_offline_model_binds_nobody(kept: Path) -> None:
    held(kept, "offline")
    assert resumed(kept) == ("openai:gpt-5", None)


def test_the_model_that_a_person_left_for_the_offline_model_is_not_taken_again(kept: Path) -> None:
    held(kept, "ollama:x")
    held(kept, "offline")
    assert resumed(kept) == ("openai:gpt-5", None)


def test_the_address_of_a_file_from_elsewhere_is_not_followed_unasked(tmp_path: Path) -> None:
    path = tmp_path / "cloned.jsonl"
    held(path, "openai-chat:x", THERE)
    with pytest.raises(UsageError, match=f"was held at {THERE}: pass --base-url"):
        resumed(path)
    assert resumed(path, "--base-url", THERE) == ("openai-chat:x", THERE)


def test_an_address_on_this_machine_is_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    held(path, "openai-chat:x", HERE)
    assert resumed(path) == ("openai-chat:x", HERE)


def test_a_secret_in_an_address_is_not_kept_and_has_to_be_given_again(kept: Path) -> None:
    held(kept, "openai-chat:x", f"{HERE}?key=hunter2-hunter2")
    assert "hunter2" not in kept.read_text()
    with pytest.raises(UsageError, match="pass --base-url"):
        resumed(kept)


def test_a_session_that_says_nonsense_of_its_model_says_nothing(kept: Path) -> None:
    with Session.open(kept) as session:
        session.append("model", {"name": 1, "base_url": []})
        assert held_with(session).name is None
    assert chosen_address(None, None, None) is None


async def test_another_model_is_named_in_a_conversation(kept: Path) -> None:
    app = App(
        Agent(model_from_name("openai-chat:x", base_url=HERE)), slash_commands(), base_url=HERE
    )
    told: list[str] = []
    conversation = Conversation(app, display=None, tell=told.append)  # type: ignore[arg-type]  # it shows nothing

    async def said(line: str) -> object:
        answer = app.commands.run(line, conversation)
        return await answer if hasattr(answer, "__await__") else answer

    assert await said("model openai-chat:y") == f"openai-chat:y at {HERE}"
    assert await said("model anthropic:z") == f"anthropic:z at {HERE}"
    with pytest.raises(UsageError):
        await said("model anthropic:z nonsense")
    assert await said("model") == f"anthropic:z at {HERE}"
    assert await said(f"model openai-chat:x {THERE}") == f"openai-chat:x at {THERE}"
    assert await said("model openai-chat:x default") == "openai-chat:x"
    assert await said("model openai-chat:y") == "openai-chat:y"


@pytest.mark.parametrize("is_greeted", [True, False])
def test_that_no_key_is_set_is_said_once(
    is_greeted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App(Agent("offline"))
    chosen_model(app, model=None, base_url=None, path=None, environ={}, is_greeted=is_greeted)
    assert ("no API key" in capsys.readouterr().err) is not is_greeted
