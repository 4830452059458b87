"""`tether completion SHELL`: what makes Tab complete the command's words in a shell."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from tether.cli.command_line import ASK, SUBCOMMANDS, command, without_refusal

__all__ = ()

VARIABLE: Final = "_TETHER_COMPLETE"
"""The environment variable by which a shell asks for what a word may become."""

_EXAMPLES: Final = """\
Where it goes:
  bash    eval "$(tether completion bash)"        in ~/.bashrc
  zsh     eval "$(tether completion zsh)"         in ~/.zshrc
  fish    tether completion fish | source         in ~/.config/fish/config.fish
"""


@command("completion", epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> Iterator[str]:
    """Print what makes Tab complete subcommands, options, models, sessions and guides."""
    made = _shell(shell, SUBCOMMANDS[ASK].command)
    yield made.source_template % made.source_vars()


def answers(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Answer a shell that asks what the word before the cursor may become.

    Args:
        environ: the environment variables, in which the shell has put the words.

    Returns:
        Lines for the shell.
    """
    name = environ[VARIABLE].partition("_")[0]
    asking = _shell(name, SUBCOMMANDS[ASK].command)
    words, begun = asking.get_completion_args()
    chosen, rest = without_refusal(words)
    for item in _shell(name, SUBCOMMANDS[chosen].command).get_completions(rest, begun):
        yield asking.format_completion(item)
    if chosen == ASK and not words and not begun.startswith("-"):
        for subcommand, about in SUBCOMMANDS.items():
            if subcommand.startswith(begun):
                yield asking.format_completion(CompletionItem(subcommand, help=about.about))


def _shell(name: str, asked: click.Command) -> ShellComplete:
    found = get_completion_class(name)
    assert found is not None
    return found(asked, {}, "tether", VARIABLE)
