"""`tether templates` and `tether fragments`: prompts and texts that a person keeps."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from tether import UsageError
from tether.cli import completing
from tether.cli.command_line import Command, group, shows_help
from tether.cli.fragments import (
    folder_of_fragments,
    fragment,
    fragment_files,
    keep_fragment,
    remove_fragment,
)
from tether.cli.session_files import make_private_folder
from tether.cli.templates import find_template, folder_of_templates, template_files

__all__ = ()

_TEMPLATES: Final = """\
Examples:
  tether templates edit review              opens it in $EDITOR
  git diff | tether -t review
  tether -t review -p language Rust "look at src/main.rs"

A template is a Markdown file in the folder that `tether templates path` prints. Its head, between lines of `---`, may
have `description`, `model`, `system`, `defaults`, `schema` and `fragments`; `$input` in it stands for the request.
"""
_FRAGMENTS: Final = """\
Examples:
  tether -f notes.md "what is left to do?"
  tether fragments set style style-guide.md
  tether -f style "write a changelog for the last release"
"""


@group("templates", epilog=_TEMPLATES)
def templates() -> None:
    """Keep prompts with variables."""


@group("fragments", epilog=_FRAGMENTS)
def fragments() -> None:
    """Keep texts that are sent before a request."""


def _action(of: click.Group, name: str) -> Callable[[Callable[..., Any]], Any]:
    return lambda function: of.command(name, cls=Command, add_help_option=False)(
        shows_help(function)
    )


_of_templates: Final = partial(_action, templates)
_of_fragments: Final = partial(_action, fragments)


@_of_templates("list")
def _list() -> Iterator[str]:
    """List the templates."""
    files = template_files()
    for name in files:
        try:
            about = find_template(name)
        except UsageError as error:
            yield f"{name:16} ({error})"
        else:
            yield f"{name:16} {about.description or ' '.join(about.prompt.split())[:60]}"
    if not files:
        yield "no templates; `tether templates edit NAME` begins one"


@_of_templates("show")
@click.argument("name", shell_complete=completing.templates)
def _show(name: str) -> Iterator[str]:
    """Print a template."""
    find_template(name)
    yield template_files().get(name, Path(name)).read_text(encoding="utf-8").rstrip("\n")


@_of_templates("edit")
@click.argument("name", shell_complete=completing.templates)
def _edit(name: str) -> Iterator[str]:
    """Open a template in $EDITOR; a new one if there is none of the name."""
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"{name!r} cannot be the name of a template: use letters, digits, - and _")
    path = template_files().get(name, folder_of_templates() / f"{name}.md")
    make_private_folder(path.parent)
    if not path.exists():
        path.write_text("---\ndescription: \n---\n$input\n", encoding="utf-8")
    try:
        click.edit(filename=str(path))
    except click.ClickException as error:
        raise UsageError(error.format_message()) from error
    yield str(path)


@_of_templates("path")
def _path() -> Iterator[str]:
    """Print the folder of the templates."""
    yield str(folder_of_templates())


@_of_fragments("list")
def _list_fragments() -> Iterator[str]:
    """List the fragments."""
    found = [f"{name:16} {path.stat().st_size:,} bytes" for name, path in fragment_files().items()]
    yield from found or ["no fragments; `tether fragments set NAME FILE` keeps one"]


@_of_fragments("set")
@click.argument("name")
@click.argument("file", default="-")
def _set(name: str, file: str) -> Iterator[str]:
    """Keep what is in a file, or piped in, under a name."""
    keep_fragment(name, fragment(file, sys.stdin.read() if file == "-" else ""))
    yield f"{name} is kept in {folder_of_fragments()}"


@_of_fragments("show")
@click.argument("name")
def _show_fragment(name: str) -> Iterator[str]:
    """Print a fragment."""
    yield fragment(name, "")


@_of_fragments("remove")
@click.argument("name")
def _remove(name: str) -> Iterator[str]:
    """Forget a fragment."""
    remove_fragment(name)
    yield f"{name} is forgotten"
