"""Pictures, documents, sound and video on each wire: what stands in the request, or who does not take what."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import strategies as some
from tests.test_media import DOCX, FILES, MP4, PDF

from tether import (
    AssistantMessage,
    Audio,
    Document,
    Image,
    Message,
    ModelRequest,
    Text,
    ToolCall,
    ToolResultMessage,
    UsageError,
    UserMessage,
    Video,
)
from tether.models.catalogue import model_from_name

WAV, PNG = FILES["audio/wav"][0], FILES["image/png"][0]

TO_SEND: dict[str, Any] = {
    "image": Image(PNG),
    "image url": Image(url="https://h/a.png"),
    "image id": Image(file_id="file-1"),
    "pdf": Document(PDF, name="a.pdf"),
    "pdf url": Document(url="https://h/a.pdf"),
    "pdf id": Document(file_id="file-1"),
    "csv": Document(b"a,b", "text/csv", name="t.csv"),
    "docx": Document(DOCX),
    "audio": Audio(WAV),
    "audio url": Audio(url="https://h/a.wav"),
    "video": Video(MP4),
    "video url": Video(url="https://h/a.mp4"),
    "video gs": Video(url="gs://b/a.mp4"),
}

PNG_64, PDF_64, WAV_64, MP4_64 = (
    "iVBORw0KGgoA",
    "JVBERi0xLjcK",
    "UklGRiQAAABXQVZFZm10IA==",
    "AAAAIGZ0eXBpc29tAAACAA==",
)


def _chat_image(url: str) -> Any:
    return {"type": "image_url", "image_url": {"url": url}}


CHAT: dict[str, Any] = {
    "image": _chat_image(f"data:image/png;base64,{PNG_64}"),
    "image url": _chat_image("https://h/a.png"),
    "csv": {"type": "text", "text": "t.csv:\na,b"},
}
OPENAI_CHAT: dict[str, Any] = {
    **CHAT,
    "pdf": {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF_64}"},
    },
    "pdf id": {"type": "file", "file": {"file_id": "file-1"}},
    "audio": {"type": "input_audio", "input_audio": {"data": WAV_64, "format": "wav"}},
}
VIDEO: dict[str, Any] = {
    "video": {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{MP4_64}"}},
    "video url": {"type": "video_url", "video_url": {"url": "https://h/a.mp4"}},
}
ANYWHERE = ...
"""Taken; what stands in the request is known from another row."""

TAKEN: dict[str, dict[str, Any]] = {
    "anthropic:m": {
        "image": {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PNG_64},
        },
        "image url": {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}},
        "image id": {"type": "image", "source": {"type": "file", "file_id": "file-1"}},
        "pdf": {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_64},
            "title": "a.pdf",
        },
        "pdf url": {"type": "document", "source": {"type": "url", "url": "https://h/a.pdf"}},
        "pdf id": {"type": "document", "source": {"type": "file", "file_id": "file-1"}},
        "csv": {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "a,b"},
            "title": "t.csv",
        },
    },
    "openai:m": {
        "image": {"type": "input_image", "image_url": f"data:image/png;base64,{PNG_64}"},
        "image url": {"type": "input_image", "image_url": "https://h/a.png"},
        "image id": {"type": "input_image", "file_id": "file-1"},
        "pdf": {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": f"data:application/pdf;base64,{PDF_64}",
        },
        "pdf url": {"type": "input_file", "file_url": "https://h/a.pdf"},
        "pdf id": {"type": "input_file", "file_id": "file-1"},
        "csv": {
            "type": "input_file",
            "filename": "t.csv",
            "file_data": "data:text/csv;base64,YSxi",
        },
        "docx": ANYWHERE,
    },
    "openai-chat:m": OPENAI_CHAT,
    "groq:m": OPENAI_CHAT,
    "deepseek:m": CHAT,
    "vllm:m": {
        **OPENAI_CHAT,
        **VIDEO,
        "audio url": {"type": "audio_url", "audio_url": {"url": "https://h/a.wav"}},
    },
    "openrouter:m": {
        **CHAT,
        **VIDEO,
        "pdf": OPENAI_CHAT["pdf"],
        "pdf url": {
            "type": "file",
            "file": {"filename": "document.pdf", "file_data": "https://h/a.pdf"},
        },
        "docx": ANYWHERE,
        "audio": OPENAI_CHAT["audio"],
    },
    "mistral:m": {
        **CHAT,
        "pdf": {
            "type": "document_url",
            "document_url": f"data:application/pdf;base64,{PDF_64}",
            "document_name": "a.pdf",
        },
        "pdf url": {"type": "document_url", "document_url": "https://h/a.pdf"},
        "pdf id": {"type": "file", "file_id": "file-1"},
        "docx": ANYWHERE,
        "audio": {"type": "input_audio", "input_audio": WAV_64},
        "audio url": {"type": "input_audio", "input_audio": "https://h/a.wav"},
    },
    "google:gemini-3-flash": {
        "image": {"inlineData": {"mimeType": "image/png", "data": PNG_64}},
        "image url": {"fileData": {"fileUri": "https://h/a.png", "mimeType": "image/png"}},
        "image id": {
            "fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/file-1"}
        },
        "pdf": {"inlineData": {"mimeType": "application/pdf", "data": PDF_64}},
        "pdf url": {"fileData": {"fileUri": "https://h/a.pdf", "mimeType": "application/pdf"}},
        "pdf id": ANYWHERE,
        "csv": {"text": "t.csv:\na,b"},
        "audio": {"inlineData": {"mimeType": "audio/wav", "data": WAV_64}},
        "audio url": {"fileData": {"fileUri": "https://h/a.wav", "mimeType": "audio/wav"}},
        "video": {"inlineData": {"mimeType": "video/mp4", "data": MP4_64}},
        "video url": {"fileData": {"fileUri": "https://h/a.mp4", "mimeType": "video/mp4"}},
        "video gs": {"fileData": {"fileUri": "gs://b/a.mp4", "mimeType": "video/mp4"}},
    },
}
"""What each model takes, and what stands for it in the request; it refuses the rest."""


def written(model: str, *messages: Message) -> Any:
    asked: Any = model_from_name(model)
    body = asked.api.encode(ModelRequest(messages=messages), asked.model)  # type: ignore[arg-type]  # tests send any
    return json.loads(json.dumps(body))


def parts_of(model: str, *messages: Message) -> list[Any]:
    """The parts of the last turn."""
    body = written(model, *messages)
    last = next(body[key] for key in ("messages", "input", "contents") if key in body)[-1]
    content = last.get("content", last.get("parts"))
    if isinstance(content, list):
        return [{k: v for k, v in part.items() if k != "cache_control"} for part in content]
    return [{"type": "text", "text": content}]


@pytest.mark.parametrize("name", TO_SEND)
@pytest.mark.parametrize("model", TAKEN)
def test_a_block_is_written_as_the_api_has_it_or_refused_by_name(model: str, name: str) -> None:
    block = TO_SEND[name]
    message = UserMessage([Text("Look:"), block])
    if name in TAKEN[model]:
        expected = TAKEN[model][name]
        [_, part] = parts_of(model, message)
        assert expected is ANYWHERE or part == expected
    else:
        with pytest.raises(
            UsageError, match=f"does not take this {type(block).__name__}"
        ) as caught:
            written(model, message)
        assert "it takes pictures" in str(caught.value)


def returned(*content: Any) -> list[Message]:
    call = AssistantMessage([ToolCall("call_1", "show")])
    return [UserMessage("go"), call, ToolResultMessage("call_1", "show", content)]


@pytest.mark.parametrize(
    ("model", "inside", "outside"),
    [
        ("anthropic:m", ["text", "image", "document", "document"], None),
        ("openai:m", ["input_text", "input_image", "input_file", "input_file"], None),
        ("google:gemini-3-flash", ["inlineData", "inlineData"], ["text", "text"]),
        ("google:gemini-2.5-flash", [], ["text", "inlineData", "inlineData", "text"]),
        ("openai-chat:m", [], ["text", "image_url", "file", "text"]),
        ("mistral:m", [], ["text", "image_url", "document_url", "text"]),
    ],
)
def test_what_a_tool_returned_stands_in_its_result_or_behind_it(
    model: str, inside: list[str], outside: list[str] | None
) -> None:
    messages = returned(Text("Here:"), TO_SEND["image"], TO_SEND["pdf"], TO_SEND["csv"])
    body = written(model, *messages)
    turns = next(body[key] for key in ("messages", "input", "contents") if key in body)
    last = parts_of(model, *messages)
    if model.startswith("google"):
        result = next(part["functionResponse"] for part in last if "functionResponse" in part)
        assert [next(iter(part)) for part in result.get("parts", ())] == inside
        assert [next(iter(part)) for part in last[1:]] == outside
    elif outside is not None:
        assert [part["type"] for part in last] == outside
    else:
        result = last[0].get("content") if model.startswith("anthropic") else turns[-1]["output"]
        assert [part["type"] for part in result] == inside


@pytest.mark.parametrize("model", ["anthropic:m", "openai:m", "openai-chat:m"])
def test_what_a_tool_returned_and_nobody_takes_is_refused(model: str) -> None:
    with pytest.raises(UsageError, match="does not take this Video"):
        written(model, *returned(Video(MP4)))


@given(st.sampled_from(sorted(TAKEN)), some.media, st.booleans())
def test_every_block_is_json_or_refused_by_name(model: str, block: Any, from_tool: bool) -> None:
    messages = returned(block) if from_tool else [UserMessage(block)]
    refused = ""
    try:
        written(model, *messages)
    except UsageError as error:
        refused = str(error)
    assert not refused or f"this {type(block).__name__} (" in refused


async def test_the_refusal_names_the_model() -> None:
    model = model_from_name(
        "anthropic:claude-sonnet-4-5", api_key="k", base_url="http://127.0.0.1:9"
    )
    request = ModelRequest(messages=[UserMessage(Video(MP4))])
    with pytest.raises(UsageError, match=r"^anthropic:claude-sonnet-4-5: Anthropic does not"):
        async with model.stream(request):
            pass
