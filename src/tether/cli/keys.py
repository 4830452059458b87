"""The keys of providers that a person has given once: in the system's keyring where there is one, else in a file.

A variable of the environment wins over a key that is kept. Keys are never printed. The file is for its owner alone; for
a key in the keyring it holds null, so that the keyring is asked only for keys that are there.
"""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tether import UsageError
from tether.cli.extensions import configuration_folder
from tether.cli.kept_json import read_kept, write_kept
from tether.models.catalogue import provider_keys

__all__ = ()

_SERVICE: Final = "tether"
"""What the keys are called in the keyring."""


def variable_of(provider: str) -> str:
    """Return the environment variable that holds a provider's key.

    Raises:
        UsageError: there is no such provider, or it needs no key.
    """
    known = provider_keys()
    if provider not in known:
        keyed = ", ".join(name for name, keys in known.items() if keys)
        raise UsageError(f"no provider is called {provider!r}; those with a key are: {keyed}")
    if not known[provider]:
        raise UsageError(f"{provider} needs no key")
    return known[provider][0]


def keep_key(provider: str, key: str) -> str:
    """Keep a key, in place of one that is kept already.

    Returns:
        Where it is kept, in words.

    Raises:
        UsageError: it is no key, or there is no such provider.
        OSError: it cannot be kept.
    """
    variable = variable_of(provider)
    if not key or any(not "!" <= character <= "~" for character in key):
        raise UsageError("a key is one word of printable ASCII characters; nothing was kept")
    keyring = _keyring()
    in_keyring = keyring is not None and _kept_in(keyring, variable, key)
    write_kept(_file(), {**_read(), variable: None if in_keyring else key})
    return "the system's keyring" if in_keyring else str(_file())


def _kept_in(keyring: Any, variable: str, key: str) -> bool:
    try:
        keyring.set_password(_SERVICE, variable, key)
    except Exception:  # noqa: BLE001 - each keyring has errors of its own; the file is what is left
        return False
    return True


def remove_key(provider: str) -> None:
    """Forget a key.

    Raises:
        UsageError: none is kept, or there is no such provider.
        OSError: it cannot be removed.
    """
    variable, kept = variable_of(provider), _read()
    if variable not in kept:
        raise UsageError(f"no key of {provider} is kept; see `tether keys`")
    keyring = _keyring()
    if kept.pop(variable) is None and keyring is not None:
        keyring.delete_password(_SERVICE, variable)
    write_kept(_file(), kept)


def where_keys_are(environ: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Say for each variable that has a key where that is, in words; the environment comes first."""
    kept = {
        variable: "kept in the system's keyring" if key is None else f"kept in {_file()}"
        for variable, key in _read().items()
    }
    variables = {variable for keys in provider_keys().values() for variable in keys}
    given = {variable: "set in the environment" for variable in variables if environ.get(variable)}
    return {**kept, **given}


@contextmanager
def keys_in(environ: MutableMapping[str, str]) -> Iterator[None]:
    """Have the keys that are kept in the environment, where it has none of that name, until a block is left."""
    added = {name: key for name, key in _kept().items() if not environ.get(name)}
    environ.update(added)
    try:
        yield
    finally:
        for name, key in added.items():
            if environ.get(name) == key:
                del environ[name]


def _kept() -> Mapping[str, str]:
    kept = _read()
    keyring = _keyring() if None in kept.values() else None
    found = {
        name: keyring.get_password(_SERVICE, name) if key is None and keyring else key
        for name, key in kept.items()
    }
    return {name: key for name, key in found.items() if key}


def _keyring() -> Any:
    """Return the module of the system's keyring; None where it is not installed, or there is no keyring."""
    try:
        keyring = import_module("keyring")  # an extra, and slow to import
        return keyring if keyring.get_keyring().priority > 0 else None
    except Exception:  # noqa: BLE001 - where it cannot even be asked, there is none
        return None


def _file() -> Path:
    return configuration_folder() / "keys.json"


def _read() -> dict[str, str | None]:
    found = read_kept(_file())
    if not isinstance(found, dict):
        raise UsageError(f"{_file()} must hold the names of variables, and keys")
    return {str(name): key for name, key in found.items() if key is None or isinstance(key, str)}
