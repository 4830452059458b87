"""Files that were uploaded and are not part of a message yet. They are kept in memory, for a while."""

import uuid
from collections.abc import Sequence
from typing import Final

from attrs import define, field, frozen

from tether.media import Media, media_block
from tether.media_types import media_type_of_file
from tether.opening import is_binary
from tether.web.refusals import Refusal

__all__ = ("ACCEPTED", "Upload", "Uploads")

ACCEPTED: Final = (
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "application/pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "audio/wav",
    "audio/mpeg",
    "text/*",
)
"""What a page offers to choose from. Whether a model takes a file, its provider says."""

_MOST_BYTES: Final = 256 * 1024 * 1024
_MOST_OF_ONE: Final = 20


@frozen
class Upload:
    """A file that was sent."""

    id: str
    place: tuple[str, str]
    """Whose it is, and for which conversation."""
    name: str
    media_type: str
    data: bytes = field(repr=False)
    block: Media | str = field(repr=False)
    """What is said."""


@define
class Uploads:
    """The files that wait to be part of a message. If there are too many, the oldest are dropped."""

    _kept: dict[str, Upload] = field(factory=dict)

    def add(self, place: tuple[str, str], data: bytes, media_type: str, name: str) -> Upload:
        """Take a file.

        Args:
            place: the user and the conversation.
            data: its bytes, which show its type, where they do.
            media_type: what the sender says it is.
            name: its name.

        Raises:
            Refusal: it is empty, or nothing that can be said.
        """
        if not data:
            raise Refusal(400, "empty", "the file is empty")
        told, block = _block(data, media_type, name)
        upload = Upload(uuid.uuid4().hex, place, name, told, data, block)
        self._kept[upload.id] = upload
        self._make_room(place)
        return upload

    def get(self, place: tuple[str, str], id: str) -> Upload:
        """Return a file.

        Raises:
            Refusal: there is none of that id, for this user in this conversation.
        """
        upload = self._kept.get(id)
        if upload is None or upload.place != place:
            raise Refusal(404, "not_found", f"no file {id!r} waits here; send it again")
        return upload

    def forget(self, uploads: Sequence[Upload]) -> None:
        """Forget files that have been said."""
        for upload in uploads:
            self._kept.pop(upload.id, None)

    def _make_room(self, place: tuple[str, str]) -> None:
        of_one = [upload for upload in self._kept.values() if upload.place == place]
        self.forget(of_one[:-_MOST_OF_ONE])
        while sum(len(upload.data) for upload in self._kept.values()) > _MOST_BYTES:
            del self._kept[next(iter(self._kept))]


def _block(data: bytes, media_type: str, name: str) -> tuple[str, Media | str]:
    told = media_type_of_file(data, name)
    media_type = "" if media_type == "application/octet-stream" else media_type
    if told is None and not is_binary(data):
        return "text/plain", f"{name}:\n{data.decode(errors='replace')}"
    try:
        block = media_block(data, told or media_type, name=name)
    except ValueError as error:
        raise Refusal(415, "unknown_type", f"{name!r} cannot be said: {error}") from error
    return block.media_type, block
