"""Pictures, documents, sound and video in chat completions, as each server takes them.

After the API references of OpenAI, OpenRouter, Mistral and vLLM.

No I/O.
"""

from typing import Any, Final

from tether.media import Audio, Document, Image, Media, Video
from tether.media_types import format_of
from tether.models._wire.media import (
    base64_of,
    data_url,
    file_name,
    text_of_document,
    unsupported,
    url_or_data_url,
)

__all__ = ("compatible_part", "mistral_part", "openai_part", "openrouter_part", "picture_part")

_TAKEN_EVERYWHERE: Final = "pictures as bytes and by URL, texts"
_OPENAI_SOUNDS: Final = ("mp3", "wav")


def picture_part(media: Media) -> dict[str, Any]:
    """Write what every server takes: pictures and texts.

    Raises:
        UsageError: it is something else.
    """
    return _picture_or_text(media) or _refuse("This server", media, _TAKEN_EVERYWHERE)


def openai_part(media: Media) -> dict[str, Any]:
    """Write a part as OpenAI takes it.

    Raises:
        UsageError: the server does not take it.
    """
    return _openai(media) or _refuse(
        "OpenAI (chat completions)",
        media,
        f"{_TAKEN_EVERYWHERE}, PDFs as bytes, documents by id, and sound (mp3, wav) as bytes",
    )


def compatible_part(media: Media) -> dict[str, Any]:
    """Write a part as OpenAI takes it, with the video and the sound by URL that other servers added.

    Raises:
        UsageError: no server is known to take it.
    """
    address = url_or_data_url(media)
    match media:
        case Video() if address is not None:
            return {"type": "video_url", "video_url": {"url": address}}
        case Audio(url=str()) if address is not None:
            return {"type": "audio_url", "audio_url": {"url": address}}
        case _:
            takes = f"{_TAKEN_EVERYWHERE}, PDFs as bytes, sound and video"
            return _openai(media) or _refuse("A compatible server", media, takes)


def openrouter_part(media: Media) -> dict[str, Any]:
    """Write a part as OpenRouter takes it.

    Raises:
        UsageError: the server does not take it.
    """
    if (part := _picture_or_text(media)) is not None:
        return part
    address = url_or_data_url(media)
    match media:
        case Document() if address is not None:
            return _file(filename=file_name(media), file_data=address)
        case Audio(data) if data:
            return _sound(media)
        case Video() if address is not None:
            return {"type": "video_url", "video_url": {"url": address}}
        case _:
            takes = (
                f"{_TAKEN_EVERYWHERE}, documents and video as bytes and by URL, and sound as bytes"
            )
            return _refuse("OpenRouter", media, takes)


def mistral_part(media: Media) -> dict[str, Any]:
    """Write a part as Mistral takes it.

    Raises:
        UsageError: the server does not take it.
    """
    if (part := _picture_or_text(media)) is not None:
        return part
    address = url_or_data_url(media)
    match media:
        case Document(file_id=str(file_id)):
            return {"type": "file", "file_id": file_id}
        case Document() if address is not None:
            named = {"document_name": media.name} if media.name else {}
            return {"type": "document_url", "document_url": address, **named}
        case Audio(data) if data:
            return {"type": "input_audio", "input_audio": base64_of(media)}
        case Audio() if address is not None:
            return {"type": "input_audio", "input_audio": address}
        case _:
            takes = (
                f"{_TAKEN_EVERYWHERE}, documents and sound as bytes and by URL, and documents by id"
            )
            return _refuse("Mistral", media, takes)


def _openai(media: Media) -> dict[str, Any] | None:
    if (part := _picture_or_text(media)) is not None:
        return part
    match media:
        case Document(file_id=str(file_id)):
            return _file(file_id=file_id)
        case Document(data, "application/pdf") if data:
            return _file(filename=file_name(media), file_data=data_url(media))
        case Audio(data) if data and format_of(media.media_type) in _OPENAI_SOUNDS:
            return _sound(media)
        case _:
            return None


def _picture_or_text(media: Media) -> dict[str, Any] | None:
    if (text := text_of_document(media)) is not None:
        return {"type": "text", "text": text}
    if isinstance(media, Image) and (address := url_or_data_url(media)) is not None:
        return {"type": "image_url", "image_url": {"url": address}}
    return None


def _file(**given: str) -> dict[str, Any]:
    return {"type": "file", "file": given}


def _sound(audio: Audio) -> dict[str, Any]:
    given = {"data": base64_of(audio), "format": format_of(audio.media_type)}
    return {"type": "input_audio", "input_audio": given}


def _refuse(server: str, media: Media, takes: str) -> dict[str, Any]:
    raise unsupported(server, media, takes)
