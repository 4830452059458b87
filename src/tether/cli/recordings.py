"""Recordings that the command makes: the keys that it knows are not in them, and one that ends early is told."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tether import Agent
from tether.cli.streams import warn
from tether.models.catalogue import provider_keys
from tether.replay import record
from tether.replay.masking import likely_secrets

__all__ = ()


def known_keys() -> Sequence[str]:
    """Give the keys of providers that stand in the environment."""
    variables = {variable for keys in provider_keys().values() for variable in keys}
    values = (os.environ.get(variable, "") for variable in variables)
    return likely_secrets(values)


@contextmanager
def recorded(agent: Agent, path: str | os.PathLike[str]) -> Iterator[None]:
    """Record the runs that begin in a block; see `tether.replay.record`.

    Args:
        agent: whose runs.
        path: the file, which must not be there.

    Raises:
        OSError: it cannot be made.
    """
    with record(agent, Path(path), secrets=known_keys()) as recorder:
        try:
            yield
        finally:
            recorder.flush()
            if recorder.failure is not None:
                warn(f"the recording {path} ends early: {recorder.failure}")
