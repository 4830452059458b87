"""Fragments: texts that are sent before a request, from files or by names that a person has given them."""

from collections.abc import Mapping
from pathlib import Path

from tether import UsageError
from tether.cli.context.front_matter import read_text
from tether.cli.extensions import configuration_folder
from tether.cli.session_files import make_private_folder, open_private

__all__ = ()


def folder_of_fragments() -> Path:
    """Return where the fragments with names are."""
    return configuration_folder() / "fragments"


def fragment_files() -> Mapping[str, Path]:
    """Find the fragments with names."""
    folder = folder_of_fragments()
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {file.stem: file for file in found if file.suffix == ".md"}


def fragment(name: str, piped: str) -> str:
    """Read a fragment.

    Args:
        name: of a fragment, or the path of a file; `-` for what is piped in.
        piped: what is piped in.

    Raises:
        UsageError: there is none, or it is no text.
    """
    if name == "-":
        return piped
    path = fragment_files().get(name, Path(name).expanduser())
    try:
        return read_text(path).strip()
    except FileNotFoundError:
        known = ", ".join(fragment_files()) or "none"
        raise UsageError(
            f"no fragment or file is called {name!r}; the fragments are: {known}"
        ) from None
    except OSError as error:
        raise UsageError(f"the fragment {name}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"the fragment {name}: {error}") from error


def keep_fragment(name: str, text: str) -> None:
    """Keep a text under a name, in place of one that is there.

    Raises:
        UsageError: the name cannot be one.
        OSError: it cannot be kept.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"{name!r} cannot be the name of a fragment: use letters, digits, - and _")
    folder = folder_of_fragments()
    make_private_folder(folder)
    with open(folder / f"{name}.md", "w", encoding="utf-8", opener=open_private) as file:
        file.write(text)


def remove_fragment(name: str) -> None:
    """Forget a fragment.

    Raises:
        UsageError: there is none.
    """
    if name not in fragment_files():
        raise UsageError(f"no fragment is called {name!r}; see `tether fragments`")
    fragment_files()[name].unlink()
