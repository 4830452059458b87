"""Thinking between tags at the beginning of a text, as local models write it: `<think>...</think>`. No I/O."""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from attrs import define

__all__ = ("Said", "ThinkTags")

Said: TypeAlias = tuple[Literal["text", "thinking"], str]
"""What a piece of text is, and the piece."""

_BEGINNING: Final = "<think>"
_END: Final = "</think>"
_LONGEST_HELD: Final = 1024
"""Characters."""


@define(eq=False, repr=False)
class ThinkTags:
    """Tells thinking from text in a text that arrives in pieces, cut anywhere."""

    _place: Literal["before", "opened", "in thinking", "closed", "in text"] = "before"
    _held: str = ""
    """What may belong to a tag, or to the blanks around one."""

    def divide(self, piece: str) -> Iterator[Said]:
        """Divide a piece.

        Args:
            piece: more of the text.

        Returns:
            What is known of it now: none of it is empty.
        """
        self._held += piece
        if len(self._held) > len(piece) + _LONGEST_HELD:
            yield from self._let_go()
        if self._place == "before":
            self._look_for_beginning()
        if self._place == "opened":
            self._skip_blanks("in thinking")
        if self._place == "in thinking":
            yield from self._thinking()
        if self._place == "closed":
            self._skip_blanks("in text")
        if self._place == "in text":
            yield from self.rest()

    def _let_go(self) -> Iterator[Said]:
        """Stop holding blanks back, of which there are more than a model writes."""
        self._place = "in thinking" if self._place in {"opened", "in thinking"} else "in text"
        yield from self.rest()

    def rest(self) -> Iterator[Said]:
        """Return what was held back, at the end of the text."""
        said, self._held = self._held, ""
        if said:
            yield "thinking" if self._place == "in thinking" else "text", said

    @property
    def is_over(self) -> bool:
        """Whether all that follows is text."""
        return self._place == "in text"

    def _look_for_beginning(self) -> None:
        begun = self._held.lstrip()
        if begun.startswith(_BEGINNING):
            self._place, self._held = "opened", begun.removeprefix(_BEGINNING)
        elif not _BEGINNING.startswith(begun):
            self._place = "in text"

    def _skip_blanks(self, place: Literal["in thinking", "in text"]) -> None:
        self._held = self._held.lstrip()
        if self._held:
            self._place = place

    def _thinking(self) -> Iterator[Said]:
        thinking, tag, behind = self._held.partition(_END)
        if tag:
            said, self._held = thinking.rstrip(), behind
            self._place = "closed"
        else:
            said = _without_beginning_of_end(thinking).rstrip()
            self._held = thinking[len(said) :]
        if said:
            yield "thinking", said


def _without_beginning_of_end(thinking: str) -> str:
    """Cut off what may be the beginning of the tag that ends the thinking."""
    for size in range(1, len(_END)):
        if thinking.endswith(_END[:size]):
            return thinking[:-size]
    return thinking
