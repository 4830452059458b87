"""Which rules would allow a call from now on: what a person is offered at the question about it."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from attrs import evolve

from tether import ToolCall
from tether.advice.rules import Rule, Rules
from tether.advice.shell_commands import read_script, words_as_text

__all__ = ()

_MOST_RULES: Final = 3
_LONGEST: Final = 200
_DO_ANYTHING: Final = frozenset(
    """
    sh bash dash zsh ksh fish eval source . exec command builtin env sudo doas su xargs
    find parallel nohup timeout nice time setsid ssh scp rsync curl wget nc python
    python3 node deno bun perl ruby php lua awk sed tee dd rm mv cp ln chmod chown kill
    pkill killall docker podman kubectl npx uvx pipx crontab at systemctl
    """.split()  # noqa: SIM905 - a list would take a line for each
)
"""Programs that may do anything, by what they are given: only the command as it is can be allowed."""


def suggested_rules(call: ToolCall, rules: Rules) -> Sequence[Rule]:
    """Make the rules that would allow a call and those like it.

    Args:
        call: the call.
        rules: the rules that there are.

    Returns:
        New rules; none where no rule can allow it.
    """
    new = [rule for rule in dict.fromkeys(_rules(call)) if rule not in rules.rules]
    if not new or len(new) > _MOST_RULES or any(len(str(rule)) > _LONGEST for rule in new):
        return ()
    ruling = evolve(rules, rules=(*rules.rules, *new)).decide(call)
    return new if ruling is not None and ruling.decision == "allow" else ()


def _rules(call: ToolCall) -> Iterator[Rule]:
    match dict(call.arguments):
        case {"command": str(command)}:
            literal = [_of_command(words) for words in read_script(command).commands]
        case {"path": str(path)}:
            literal = [_of_path(path)]
        case {"url": str(url)}:
            site = urlsplit(url)
            literal = [(f"{site.scheme}://{site.netloc}/", "*")]
        case _:
            yield Rule("allow", call.name)
            return
    for begin, more in literal:
        # A star in what the model wrote would stand for any text.
        if "*" not in begin and "\n" not in begin:
            yield Rule.parse(f"allow {call.name}: {begin}{more}")


def _of_command(words: Sequence[str]) -> tuple[str, str]:
    if words[0].rpartition("/")[2] in _DO_ANYTHING:
        return words_as_text(words), ""
    return words_as_text(words[:1]), " *"


def _of_path(path: str) -> tuple[str, str]:
    top, *below = PurePosixPath(path).parts or (path,)
    return (f"{top}/", "*") if below and top not in {"/", ".."} else (path, "")
