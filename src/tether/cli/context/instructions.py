"""AGENTS.md and its relatives: what people want agents to know of their project.

Those of the person come first, then those of the folders from the repository's root down to the working folder: the
nearer one comes later, and counts more. A file in a folder below joins when a tool first works there. It comes with
the result of that call, so that nothing before it changes, and what the provider has cached stays valid. Which have
joined is read from the conversation: so a conversation that is resumed, forked or taken back knows it too.
"""

import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import anyio.to_thread
from attrs import evolve, field, frozen

from tether import AssistantMessage, CustomMessage, Invocation, Message, Text, ToolResult
from tether.advice.compaction import COMPACTION
from tether.cli.context.places import INSTRUCTIONS, instructions_in, shown
from tether.opening import open_regular

__all__ = ()

MOST: Final = 32 * 1024
"""Bytes of all instructions that are in the system prompt, and of each that joins."""
_INTRODUCTION: Final = """\
# Instructions for this project

People wrote these for agents. What the person says in the conversation counts more; of two files, the later one."""


@frozen
class Instructions:
    """A file of instructions that was read."""

    path: Path
    name: str
    """How people call it."""
    text: str
    is_cut: bool = False

    @property
    def section(self) -> str:
        """What the model reads."""
        note = f"\n[cut here: all together may have {MOST:,} bytes]" if self.is_cut else ""
        return f'<instructions from="{self.name}">\n{self.text}{note}\n</instructions>'


def read_instructions(paths: Sequence[Path], folder: Path) -> tuple[list[Instructions], list[str]]:
    """Read files of instructions, as far as there is room.

    Args:
        paths: the files, in the order in which the model reads them.
        folder: the working folder.

    Returns:
        What was read, and lines about what was not.
    """
    found: list[Instructions] = []
    problems: list[str] = []
    left = MOST
    for path in paths:
        name = shown(path, folder)
        try:
            one = _read(path, name, left)
        except (OSError, ValueError) as error:
            problems.append(f"{name} is left out: {getattr(error, 'strerror', None) or error}")
            continue
        left -= len(one.text.encode())
        if one.is_cut:
            problems.append(f"{name} is cut: instructions may have {MOST:,} bytes, all together")
        if one.text:
            found.append(one)
    return found, problems


def instructions_section(found: Sequence[Instructions]) -> str:
    """Write the part of the system prompt; empty if there are none."""
    return "\n\n".join([_INTRODUCTION, *(one.section for one in found)]) if found else ""


def joined_in(messages: Sequence[Message]) -> Sequence[str]:
    """List the files that have joined a conversation, as sections, as far as the model still sees them."""
    sections: list[str] = []
    for message in messages:
        if isinstance(message, CustomMessage) and message.kind == COMPACTION:
            sections.clear()
        elif message.role == "tool":
            texts = [block.text for block in message.content[1:] if isinstance(block, Text)]
            sections += [text for text in texts if text.startswith("<instructions from=")]
    return sections


def _resolved(path: Path) -> Path:
    return path.resolve()


@frozen(eq=False)
class NestedInstructions:
    """A hook at `after_tool`, which adds the instructions of the folder that a call has worked in.

    Args:
        folder: the working folder, whose own instructions the model has.
        allows: says of a file whether it may be used.
    """

    folder: Path = field(converter=_resolved)
    allows: Callable[[Invocation, Path], Awaitable[bool]]
    _claimed: deque[tuple[str, str]] = field(factory=lambda: deque(maxlen=100), init=False)
    """The calls of one reply run at once: each file comes with one of their results."""

    async def __call__(self, invocation: Invocation, result: ToolResult) -> ToolResult | None:
        """Add what is new to a result.

        Cancellation:
            While files are read, or a person is asked.
        """
        path = invocation.call.arguments.get("path")
        if result.outcome != "ok" or not isinstance(path, str) or "\0" in path:
            return None
        found = await anyio.to_thread.run_sync(self._below, path)
        new = [
            one
            for one in found
            if self._is_new(one, invocation.context.messages)
            and await self.allows(invocation, one.path)
        ]
        if not new:
            return None
        content = result.content or (Text(""),)
        return evolve(result, content=[*content, *(Text(one.section) for one in new)])

    def _below(self, path: str) -> Sequence[Instructions]:
        return [
            one
            for file in self._files(Path(os.path.realpath(self.folder / path)))
            for one in read_instructions([file], self.folder)[0]
        ]

    def _files(self, place: Path) -> Iterator[Path]:
        from tether.toolbox.walking import IGNORED  # noqa: PLC0415 - the command starts without the tools

        if not place.is_relative_to(self.folder) or place.name in INSTRUCTIONS:
            return
        parts = place.relative_to(self.folder).parts
        if not IGNORED.isdisjoint(parts):
            return
        for count in range(1, len(parts) + 1):
            file = instructions_in(self.folder.joinpath(*parts[:count]))
            if file is not None and file.resolve().is_relative_to(self.folder):
                yield file

    def _is_new(self, one: Instructions, messages: Sequence[Message]) -> bool:
        begins = one.section.partition("\n")[0]
        if any(text.startswith(begins) for text in joined_in(messages)):
            return False
        reply = next((m.id for m in reversed(messages) if isinstance(m, AssistantMessage)), "")
        if (reply, one.name) in self._claimed:
            return False
        self._claimed.append((reply, one.name))
        return True


def _read(path: Path, name: str, room: int) -> Instructions:
    """Read a file; what is beyond the room is cut off."""
    with open_regular(path, name) as file:
        content = file.read(room + 1)
    text = content[:room].decode("utf-8-sig", errors="replace").strip()
    return Instructions(path, name, text, is_cut=len(content) > room)


def name_of(section: str) -> str:
    """Return the name that a section begins with."""
    return section.partition('from="')[2].partition('"')[0]
