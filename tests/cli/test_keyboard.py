"""What is typed reaches the line editor as the keys that were pressed, whatever the terminal says between them."""

import os
import sys
from collections.abc import Sequence

import pytest

pytest.importorskip("prompt_toolkit")
pty = pytest.importorskip("pty", reason="there is no pseudo-terminal")

from tether.cli.keyboard import LONE_ESCAPE, keyboard  # noqa: E402 - behind the skip

CURSOR = b"\x1b[24;1R"
"""The terminal's answer to the question where the cursor is."""


@pytest.mark.parametrize(
    ("pieces", "keys"),
    [
        ([b"\x1b"], [LONE_ESCAPE]),
        ([b"ab\x1b" + CURSOR], ["a", "b", LONE_ESCAPE, "<cursor-position-response>"]),
        ([b"\x1b", CURSOR], [LONE_ESCAPE, "<cursor-position-response>"]),
        ([CURSOR + b"\x1b"], ["<cursor-position-response>", LONE_ESCAPE]),
        ([b"\x1bx"], ["escape", "x"]),
        ([b"\x1b", b"\x1b[A"], ["escape", "up"]),
    ],
)
def test_esc_is_not_lost_where_the_terminal_answers_just_behind_it(
    pieces: Sequence[bytes], keys: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pty.openpty()
    with os.fdopen(here, "wb", buffering=0) as terminal, os.fdopen(there) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        typed = keyboard()
        read: list[str] = []
        with typed.raw_mode():
            for piece in pieces:
                terminal.write(piece)
                read += [getattr(key.key, "value", key.key) for key in typed.read_keys()]
            read += [getattr(key.key, "value", key.key) for key in typed.flush_keys()]
    assert read == keys
