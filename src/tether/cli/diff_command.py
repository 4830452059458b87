"""`tether diff BEFORE NOW`: where two recorded runs part."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from tether import UsageError
from tether.cli.command_line import command
from tether.errors import DecodeError
from tether.replay import difference, read

__all__ = ()

_EXAMPLES: Final = """\
examples:
  tether diff yesterday.jsonl today.jsonl

The first difference comes first: an event, a request, what was said or done, or the end. Ids and times are not
compared, nor where a text was cut into pieces.
"""


@command("diff", epilog=_EXAMPLES)
@click.argument("before")
@click.argument("now")
def diff(before: str, now: str) -> Iterator[str]:
    """Show where two recordings part."""
    try:
        found = difference(read(Path(before)), read(Path(now)))
    except DecodeError as error:  # not of a session, which could be repaired
        raise UsageError(str(error)) from error
    if found is None:
        yield "they do the same"
        return
    yield f"run {found.run} is the same for {found.event} events; then:"
    yield found.text
