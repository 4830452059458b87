"""Pictures, documents, sound and video: how they are given, and what their bytes show."""

import base64
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from tests import strategies as some

from tether import Agent, Audio, Document, Image, Text, UserMessage, Video
from tether.errors import DecodeError
from tether.media import LARGEST_FILE, Media
from tether.media_types import format_of, media_type_of, normal_media_type
from tether.messages import Block
from tether.serialize import from_json, to_json
from tether.testing import ScriptedModel

PDF = b"%PDF-1.7\n"
MP4 = b"\0\0\0\x20ftypisom\0\0\x02\0"
WEBM = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm"
DOCX = b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0" + b"\0" * 16 + b"word/document.xml"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

FILES: dict[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n\0",),
    "image/jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF", b"\xff\xd8\xff\xdb\0\x43"),
    "image/gif": (b"GIF87a\1\0", b"GIF89a\1\0"),
    "image/webp": (b"RIFF\x24\0\0\0WEBPVP8 ",),
    "image/bmp": (b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0",),
    "image/tiff": (b"II*\0\x08\0", b"MM\0*\0\0"),
    "image/avif": (b"\0\0\0\x20ftypavif\0\0\0\0",),
    "image/heic": (b"\0\0\0\x18ftypheic\0\0\0\0",),
    "application/pdf": (PDF, b"\xef\xbb\xbf%PDF-1.4", b"\n\n%PDF-1.4"),
    "application/rtf": (b"{\\rtf1\\ansi",),
    WORD: (DOCX,),
    "application/vnd.oasis.opendocument.text": (
        b"PK\x03\x04" + b"\0" * 26 + b"mimetypeapplication/vnd.oasis.opendocument.textPK\x03\x04",
    ),
    "application/zip": (b"PK\x03\x04\x14\0\0\0hello.py",),
    "audio/mpeg": (b"ID3\x04\0", b"\xff\xfb\x74\xc4\0", b"\xff\xf3\x48\xc4"),
    "audio/aac": (b"\xff\xf1\x50\x80\0",),
    "audio/wav": (b"RIFF\x24\0\0\0WAVEfmt ",),
    "audio/flac": (b"fLaC\0\0\0\x22",),
    "audio/ogg": (b"OggS\0\x02" + b"\0" * 22 + b"\x01\x13OpusHead",),
    "audio/mp4": (b"\0\0\0\x20ftypM4A \0\0\0\0",),
    "video/mp4": (MP4, b"\0\0\0\x1cftypmp42\0\0\0\0"),
    "video/quicktime": (b"\0\0\0\x14ftypqt  \0\0\0\0",),
    "video/webm": (WEBM,),
    "video/x-matroska": (b"\x1aE\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroska",),
    "video/ogg": (b"OggS\0\x02" + b"\0" * 22 + b"\x80theora",),
    "video/x-msvideo": (b"RIFF\x24\0\0\0AVI LIST",),
    "video/x-flv": (b"FLV\x01\x05\0",),
    "video/mpeg": (b"\0\0\x01\xba\x44",),
}
CASES = [(type_, data) for type_, contents in FILES.items() for data in contents]
KINDS: dict[str, type[Media]] = {"image": Image, "audio": Audio, "video": Video}


@pytest.mark.parametrize(("type_", "data"), CASES)
def test_the_bytes_show_the_type(type_: str, data: bytes) -> None:
    assert media_type_of(data) == type_
    made = KINDS.get(type_.partition("/")[0], Document)
    if type_ != "application/zip":
        assert made(data).media_type == made(data, "image/png").media_type == type_


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\0\0\0\0", b"RIFF\0\0\0\0XXXX", b"\xff\xff\xff\xff"]
)
def test_what_has_no_mark_has_no_type(data: bytes) -> None:
    assert media_type_of(data) is None


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("image/jpg", "image/jpeg"),
        ("IMAGE/PNG ", "image/png"),
        ("text/plain; charset=utf-8", "text/plain"),
        ("audio/x-wav", "audio/wav"),
        ("audio/mp3", "audio/mpeg"),
        ("video/mov", "video/quicktime"),
    ],
)
def test_a_type_has_one_name(written: str, known: str) -> None:
    assert normal_media_type(written) == known == normal_media_type(known)


@pytest.mark.parametrize(
    ("media_type", "word"),
    [("audio/mpeg", "mp3"), ("image/jpeg", "jpeg"), ("video/quicktime", "mov"), (WORD, "docx")],
)
def test_a_type_has_a_word(media_type: str, word: str) -> None:
    assert format_of(media_type) == word


@pytest.mark.parametrize(
    ("block", "media_type"),
    [
        (Image(b"png"), "image/png"),
        (Image(b"?", "image/jpg"), "image/jpeg"),
        (Image(FILES["image/jpeg"][0]), "image/jpeg"),
        (Image(url="https://host/a.JPG?size=9"), "image/jpeg"),
        (Image(url="https://host/a"), ""),
        (Document(b"only text"), "text/plain"),
        (Document(b"a,b", "text/csv"), "text/csv"),
        (Document(FILES["application/zip"][0], WORD), WORD),
        (Document(url="https://host/a.pdf"), "application/pdf"),
        (Document(file_id="file-1"), ""),
        (Audio(MP4), "audio/mp4"),
        (Audio(WEBM, "audio/webm"), "audio/webm"),
        (Video(url="gs://bucket/a.mp4"), "video/mp4"),
    ],
)
def test_the_type_is_told_where_it_can_be(block: Media, media_type: str) -> None:
    assert block.media_type == media_type


def test_a_url_that_holds_the_bytes_is_the_bytes() -> None:
    url = f"data:application/pdf;name=a.pdf;base64,{base64.b64encode(PDF).decode()}"
    assert Document(url=url) == Document(PDF, "application/pdf")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Image(), ValueError, "Image takes one of data, url and file_id; got nothing"),
        (lambda: Image(b""), ValueError, "nothing in it"),
        (lambda: Audio(b"x", url="https://h"), ValueError, "got data and url"),
        (lambda: Video(url="a.mp4"), ValueError, "begins with https://"),
        (lambda: Document(url="data:application/pdf;base64,?"), ValueError, "no base64"),
        (lambda: Image("a.png"), TypeError, "Image takes bytes, not str"),  # type: ignore[arg-type]  # on purpose
        (lambda: Image(PDF), ValueError, "Image was given application/pdf: use Document"),
        (lambda: Document(MP4), ValueError, "use Video"),
        (lambda: Audio(b"?"), ValueError, "pass media_type to Audio"),
        (lambda: Document(b"\0"), ValueError, "pass media_type to Document"),
    ],
)
def test_what_is_no_block_is_refused_in_words(
    make: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        make()


@given(some.media)
def test_a_session_keeps_it(block: Media) -> None:
    assert from_json(to_json(block), Block) == block


def test_a_session_with_a_block_that_is_none_says_where() -> None:
    text = '{"role":"user","content":[{"type":"image","data":"","url":"ftp://x"}]}'
    with pytest.raises(DecodeError, match="content"):
        from_json(text)


# Paths.


@pytest.mark.parametrize(
    ("name", "data", "block"),
    [
        ("a.pdf", PDF, Document(PDF, "application/pdf", name="a.pdf")),
        ("wrong.png", PDF, Document(PDF, "application/pdf", name="wrong.png")),
        ("noise", FILES["audio/wav"][0], Audio(FILES["audio/wav"][0])),
        ("film.txt", MP4, Video(MP4)),
        ("photo", FILES["image/jpeg"][0], Image(FILES["image/jpeg"][0])),
        ("notes.md", b"# Rope", Text("notes.md:\n# Rope")),
        ("index.ts", b"export {}", Text("index.ts:\nexport {}")),
        ("latin.txt", "café".encode("latin-1"), Text("latin.txt:\ncafé")),
        (
            "old.doc",
            b"\xd0\xcf\x11\xe0\0",
            Document(b"\xd0\xcf\x11\xe0\0", "application/msword", name="old.doc"),
        ),
    ],
)
def test_a_message_takes_a_path(tmp_path: Path, name: str, data: bytes, block: Any) -> None:
    (tmp_path / name).write_bytes(data)
    assert UserMessage(tmp_path / name).content == (block,)


async def test_a_prompt_takes_a_path_among_other_things(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    result = await Agent(ScriptedModel("Seen.")).prompt(["Look:", tmp_path / "a.pdf"])
    assert result.messages[0] == UserMessage(
        [Text("Look:"), Document(PDF, name="a.pdf")],
        id=result.messages[0].id,
        timestamp=result.messages[0].timestamp,
    )


def test_what_is_no_sendable_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "program").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "zip").write_bytes(FILES["application/zip"][0])
    (tmp_path / "empty.pdf").write_bytes(b"")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    (tmp_path / "long.txt").write_bytes(b"x" * (1024 * 1024 + 1))
    for name, words in {
        "fifo": "a FIFO",
        "program": "neither a text nor of a known type",
        "zip": "neither a text nor of a known type",
        "large": "33,554,432 bytes",
        "long.txt": "1,048,576 bytes of a text",
    }.items():
        with pytest.raises(ValueError, match=words):
            UserMessage([tmp_path / name])
    with pytest.raises(FileNotFoundError):
        UserMessage(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        UserMessage(tmp_path)
