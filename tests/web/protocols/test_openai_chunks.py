"""What a client of OpenAI reads: the text of the replies, and nothing of the tools."""

from typing import Any

import pytest
from openai.types.chat import ChatCompletion as Whole
from openai.types.chat import ChatCompletionChunk as Chunk
from tests.web.protocols.told import plan_of, told

import tether
from tether.messages import Failure
from tether.testing import call
from tether.web.protocols.openai_chunks import ChatCompletion, as_error, status_of


def completion(*replies: Any, **others: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The chunks of a run, and the whole completion."""
    fold = ChatCompletion("c1", "tether", 1_700_000_000, include_usage=True)
    events = told(plan_of(*replies, **others))
    return [*fold.begin(), *(one for event in events for one in fold.take(event))], fold.whole()


def test_what_two_replies_say_is_kept_apart() -> None:
    chunks, whole = completion(["Let me.", call("read", path="a")], ["Done."])
    said = whole["choices"][0]["message"]["content"]
    assert said == "Let me.\n\nDone."
    for chunk in chunks:
        Chunk.model_validate(chunk, strict=True)
    Whole.model_validate(whole, strict=True)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == said
    assert deltas[0]["role"] == "assistant"


def test_reasoning_has_a_field_of_its_own() -> None:
    _, whole = completion([tether.Thinking("Hm."), "Hi."])
    message = whole["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Hm.", "Hi.")


def test_tokens_are_counted_in_the_last_chunk() -> None:
    used = tether.Usage(input_tokens=3, output_tokens=4, cache_read_tokens=2)
    chunks, whole = completion(tether.AssistantMessage("Hi.", usage=used))
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert whole["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_a_failure_is_the_last_chunk() -> None:
    chunks, _ = completion(["Hal", tether.ModelError("busy", kind="overloaded")])
    assert chunks[-1] == {
        "error": {"message": "busy", "type": "upstream_error", "param": None, "code": "overloaded"}
    }


@pytest.mark.parametrize(
    ("kind", "status"), [("rate_limit", 429), ("context_overflow", 400), ("authentication", 502)]
)
def test_failures_have_the_status_that_clients_act_on(kind: Any, status: int) -> None:
    failure = Failure(kind, "no")
    assert status_of(failure) == status
    assert (as_error(failure)["error"]["type"] == "invalid_request_error") == (status == 400)
