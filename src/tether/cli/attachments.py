"""Files and folders that a person attaches to what they say, by their names behind an `@`."""

import codecs
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from tether import Text, UserMessage
from tether.cli.input.trees import listing
from tether.media import LARGEST_FILE, media_block
from tether.media_types import media_type_of_file
from tether.messages import UserBlock
from tether.opening import is_binary, open_regular, read_at_most

__all__ = ()

_ATTACHED: Final = re.compile(r"""(?<!\S)@(?:"([^"\n]+)"|(\S+))""")
_AFTER_A_NAME: Final = ".,;:!?)]}\"'"
_CONTROLS: Final = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f]")
"""What no text in Latin-1 has: all controls but those of lines, tabs and escape sequences."""
_NO_TEXT: Final = "it is neither a text, nor a picture, document, sound or video"
_LONGEST_TEXT: Final = 100_000
"""Bytes of a file that is attached as text."""


def message_with_files(
    text: str,
    tell: Callable[[str], object],
    *,
    typed: str | None = None,
    others: Collection[str] = (),
) -> UserMessage:
    """Make a message of a text, with the files and images that it names behind an `@`.

    Args:
        text: what a person says; a name with spaces stands in double quotes.
        tell: gets a line for each name that nothing can be attached for.
        typed: the part of the text that the person has typed; all of it if None. Only names in this part count:
            others' text must not attach the person's files.
        others: names behind an `@` that are no files.

    Returns:
        The message.
    """
    attached = _attachments(text if typed is None else typed, tell, others)
    return UserMessage([Text(text), *attached])


def _attachments(
    text: str, tell: Callable[[str], object], others: Collection[str]
) -> Iterator[UserBlock]:
    for found in _ATTACHED.finditer(text):
        name = found[1] or _existing(found[2])
        if name in others:
            continue
        try:
            yield attached(Path(name).expanduser(), name)
        except FileNotFoundError:
            tell(f"@{name} is not attached: there is no such file")
        except OSError as error:
            tell(f"@{name} is not attached: {error.strerror or error}")
        except (ValueError, RuntimeError) as error:
            tell(f"@{name} is not attached: {error}")


def _existing(name: str) -> str:
    """Take off what ends a sentence rather than a name."""
    shorter = name.rstrip(_AFTER_A_NAME)
    return shorter if shorter and not os.path.lexists(name) else name


def attached(path: Path, name: str) -> UserBlock:
    """Read a file as a part of a message: what its bytes say it is; of a folder, what it has.

    Raises:
        ValueError: it is nothing that can be sent, or too large.
        OSError: it cannot be read.
    """
    if path.is_dir():
        return Text(f"{str(path).rstrip('/')}/ has:\n{listing(path)}")
    with open_regular(path, name) as file:
        content = file.read(_LONGEST_TEXT + 1)
        if (kind := media_type_of_file(content, path.name)) is not None:
            rest = read_at_most(file, LARGEST_FILE - len(content))
            if rest is None:
                raise ValueError(f"it has more than the {LARGEST_FILE:,} bytes that can be sent")
            return media_block(content + rest, kind, name=path.name)
    if is_binary(content):
        raise ValueError(_NO_TEXT)
    cut = len(content) > _LONGEST_TEXT
    text = _decoded(content[:_LONGEST_TEXT], cut=cut)
    return Text(f"{path}:\n{text}" + ("\n[...]" if cut else ""))


def _decoded(content: bytes, *, cut: bool) -> str:
    """Decode a text, or the beginning of one; what is not UTF-8 is taken for Latin-1."""
    try:
        # The last character of a beginning may be cut in two.
        return codecs.getincrementaldecoder("utf-8")().decode(content, final=not cut)
    except UnicodeDecodeError:
        if _CONTROLS.search(content):
            raise ValueError(_NO_TEXT) from None
        return content.decode("latin-1")
