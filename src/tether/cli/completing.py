"""What Tab offers in a shell for names that are a person's own; what that needs is loaded when it is asked for."""
# ruff: noqa: PLC0415 - every request loads this module, and only a shell that completes needs the others

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ()


def files(_: click.Context, __: click.Parameter, begun: str) -> "list[CompletionItem]":
    """Have the shell complete the name of a file."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(begun, type="file")]


def models(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Complete a short name of a model, or the provider in its name."""
    from tether.cli.aliases import known_aliases
    from tether.models.catalogue import provider_keys

    names = [*known_aliases(), "offline", *(f"{provider}:" for provider in provider_keys())]
    return [name for name in names if name.startswith(begun)]


def templates(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Complete the name of a template."""
    from tether.cli.templates import template_files

    return [name for name in template_files() if name.startswith(begun)]


def fragments(
    context: click.Context, parameter: click.Parameter, begun: str
) -> "list[CompletionItem]":
    """Complete the name of a fragment, or of a file where no fragment is called so."""
    from click.shell_completion import CompletionItem

    from tether.cli.fragments import fragment_files

    names = [CompletionItem(name) for name in fragment_files() if name.startswith(begun)]
    return names or files(context, parameter, begun)


def sessions(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Complete the id of a conversation of this folder, which is the first word; the others are a request."""
    from tether.cli.session_files import kept_sessions

    if context.params.get("words"):
        return []
    return [
        info.path.stem for info in kept_sessions(Path.cwd()) if info.path.stem.startswith(begun)
    ]
