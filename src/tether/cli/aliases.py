"""Short names of models, which a person has given them."""

import difflib
from collections.abc import Mapping
from pathlib import Path

from tether import UnknownModelError, UsageError
from tether.cli.extensions import configuration_folder
from tether.cli.kept_json import read_kept, write_kept
from tether.models.catalogue import provider_keys

__all__ = ()


def known_aliases() -> Mapping[str, str]:
    """Read the names: the models' names by the short ones.

    Raises:
        UsageError: their file cannot be read.
    """
    found = read_kept(_file())
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise UsageError(f"{_file()} must hold short names, and names of models")
    return found


def add_alias(name: str, model: str) -> None:
    """Give a model a short name, in place of one that it was given before.

    Raises:
        UsageError: the name is the beginning of models' names, or there is no such model.
        OSError: it cannot be kept.
    """
    if not name or ":" in name or name == "offline" or name.startswith("-"):
        raise UsageError(f"{name!r} cannot be a short name: use one word without a colon")
    provider, colon, _ = model.partition(":")
    if colon and provider not in provider_keys():
        close = difflib.get_close_matches(provider, [*provider_keys()], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UnknownModelError(f"no provider is called {provider!r}{hint}")
    write_kept(_file(), {**known_aliases(), name: model})


def remove_alias(name: str) -> None:
    """Forget a short name.

    Raises:
        UsageError: there is none.
        OSError: it cannot be forgotten.
    """
    kept = dict(known_aliases())
    if kept.pop(name, None) is None:
        raise UsageError(f"no short name is {name!r}; see `tether alias`")
    write_kept(_file(), kept)


def _file() -> Path:
    return configuration_folder() / "aliases.json"
