"""Pictures from the clipboard, and the paths of pictures that a terminal pastes when one is dropped on it."""

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from attrs import define, field

from tether import UsageError
from tether.commands import split_words
from tether.media_types import media_type_of_file

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyBindings

__all__ = ()

_TIMEOUT: Final = 5.0
_PICTURES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
}
_SUFFIXES: Final = frozenset({*_PICTURES.values(), ".jpeg"})
_APPLE: Final = re.compile(rb"\xc2?\xabdata PNGf([0-9A-F]+)\xc2?\xbb")
_WINDOWS: Final = (
    "Add-Type -AssemblyName System.Windows.Forms; $i = [System.Windows.Forms.Clipboard]::GetImage(); "
    "if ($i) { $m = New-Object IO.MemoryStream; $i.Save($m, [Drawing.Imaging.ImageFormat]::Png); "
    "[Convert]::ToBase64String($m.ToArray()) }"
)

Run = Callable[[Sequence[str]], bytes]
"""Runs a program, and returns what it printed; nothing where it failed."""


def clipboard_image(
    environ: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
    run: Run | None = None,
    which: Callable[[str], object] = shutil.which,
) -> bytes:
    """Take the picture from the clipboard, by the program that the system has for it.

    Args:
        environ: environment variables; they say which display there is.
        platform: as `sys.platform`.
        run: runs a program.
        which: says whether there is a program.

    Returns:
        The bytes of a picture.

    Raises:
        UsageError: there is no such program, or no picture in the clipboard.
    """
    run = run or _output
    if platform == "darwin":
        image = (run(["pngpaste", "-"]) if which("pngpaste") else b"") or _from_apple(run)
    elif platform == "win32" or "WSL_DISTRO_NAME" in environ:
        image = base64.b64decode(
            run(["powershell.exe", "-NoProfile", "-STA", "-Command", _WINDOWS])
        )
    elif environ.get("WAYLAND_DISPLAY") and which("wl-paste"):
        kind = _kind(run(["wl-paste", "--list-types"]))
        image = run(["wl-paste", "--no-newline", "--type", kind]) if kind else b""
    elif environ.get("DISPLAY") and which("xclip"):
        of_clipboard = ["xclip", "-selection", "clipboard", "-o", "-t"]
        kind = _kind(run([*of_clipboard, "TARGETS"]))
        image = run([*of_clipboard, kind]) if kind else b""
    else:
        raise UsageError(_missing(environ))
    if media_type_of_file(image, "") not in _PICTURES:
        raise UsageError(
            "there is no picture in the clipboard; text is pasted by your terminal's own key"
        )
    return image


def _missing(environ: Mapping[str, str]) -> str:
    if environ.get("WAYLAND_DISPLAY"):
        return "pictures are taken from the clipboard by wl-paste: install wl-clipboard"
    if environ.get("DISPLAY"):
        return "pictures are taken from the clipboard by xclip: install it"
    return "this terminal has no clipboard that can be read; attach the picture's file with @path"


def _kind(listed: bytes) -> str:
    offered = listed.decode(errors="replace").split()
    return next((kind for kind in _PICTURES if kind in offered), "")


def _from_apple(run: Run) -> bytes:
    found = _APPLE.search(run(["osascript", "-e", "get the clipboard as \u00abclass PNGf\u00bb"]))
    return bytes.fromhex(found[1].decode()) if found else b""


def _output(words: Sequence[str]) -> bytes:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


def pasted_picture(text: str) -> str | None:
    """Return the path of a picture, where a terminal has pasted one alone: quoted, escaped, or as a `file:` address.

    Args:
        text: what was pasted.
    """
    text = text.strip()
    if "\n" in text or Path(text.strip("'\"")).suffix.lower() not in _SUFFIXES:
        return None
    candidates = [text]
    if text.startswith("file://"):
        candidates = [unquote(urlsplit(text).path)]
    else:
        with suppress(UsageError):  # a quote is not closed, or it is long
            candidates += words if len(words := split_words(text)) == 1 else []
    for candidate in candidates:
        path = Path(candidate)
        if path.is_absolute() and os.path.isfile(path) and '"' not in candidate:
            return candidate
    return None


def attached(path: str) -> str:
    """Write a path as it is attached to a line."""
    return f'@"{path}"' if re.search(r"\s", path) else f"@{path}"


@define(eq=False)
class PastedPictures:
    """The pictures that were pasted: files of the person alone, until they leave."""

    _folder: Path | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)

    def keep(self, image: bytes) -> str:
        """Keep a picture; return the path of its file.

        Raises:
            OSError: it cannot be written.
        """
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="tether-"))
        self._count += 1
        suffix = _PICTURES.get(media_type_of_file(image, "") or "", ".png")
        path = self._folder / f"image-{self._count}{suffix}"
        path.write_bytes(image)
        return str(path)

    def close(self) -> None:
        """Remove them."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def bind_pasting(
    keys: "KeyBindings", pictures: PastedPictures, tell: Callable[[str], None]
) -> None:
    """Bind the key that attaches the clipboard's picture, and what terminals send when something is pasted.

    Args:
        keys: where to bind them.
        pictures: keeps the pictures.
        tell: prints a line to the person where there is none.
    """
    from prompt_toolkit.keys import Keys  # noqa: PLC0415 - only at a terminal

    @keys.add("c-v")
    def paste_picture(event: Any) -> None:
        try:
            path = pictures.keep(clipboard_image())
        except (UsageError, OSError) as error:
            tell(f"! {error}")
        else:
            event.current_buffer.insert_text(f"{attached(path)} ")

    @keys.add(Keys.BracketedPaste)
    def paste(event: Any) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        path = pasted_picture(text)
        event.current_buffer.insert_text(text if path is None else f"{attached(path)} ")
