"""The slash commands about permission: `/mode` and `/rules`."""
# ruff: noqa: D417 - the conversation is not an argument of the command

from collections.abc import Callable, Iterator
from functools import partial

from tether import Commands, UsageError
from tether.advice.rules import Rule
from tether.cli.conversation import Conversation
from tether.cli.permission.kept_rules import KeptRules, RuleFile
from tether.cli.permission.modes import Mode

__all__ = ()


def add_permission_commands(commands: Commands) -> None:
    """Add them to a registry."""
    commands.command("mode", complete={"name": lambda _: [mode.value for mode in Mode]})(_mode)
    commands.command("rules", raw=True, complete={"change": lambda _: _CHANGES})(_rules)


_CHANGES = ("add allow ", "add ask ", "add deny ", "add --everywhere ", "remove ")


def _mode(conversation: Conversation, name: str | None = None) -> str:
    """Show how much the agent may do without a question, or change it; Shift-Tab switches to the next mode.

    Args:
        name: plan, ask, edits or all
    """
    if name is not None:
        if name not in {mode.value for mode in Mode}:
            names = ", ".join(mode.value for mode in Mode)
            raise UsageError(f"there is no mode {name!r}; the modes are {names}")
        conversation.mode.current = Mode(name)
        return f"mode {name}: {Mode(name).meaning}"
    now = conversation.mode.current
    return "\n".join(
        f"{'*' if mode is now else ' '} {mode.value:5}  {mode.meaning}" for mode in Mode
    )


def _rules(conversation: Conversation, change: str = "") -> str:
    """List the rules that say which calls run, are asked about or are denied; or add or remove one.

    Args:
        change: `add allow run_command: git *` adds a rule for this folder, `add --everywhere ...` one for all folders,
            `remove 2` removes the second
    """
    verb, _, rest = change.strip().partition(" ")
    match verb, rest.strip():
        case "", _:
            return _listed(conversation.rules)
        case "add", text if text:
            return _added(conversation.rules, text)
        case "remove", text if text:
            return _removed(conversation.rules, text)
        case _:
            raise UsageError(
                "write `/rules`, `/rules add allow run_command: git *`, or `/rules remove 1`"
            )


def _numbered(kept: KeptRules) -> Iterator[tuple[RuleFile, Rule]]:
    for file in (kept.here, kept.everywhere):
        yield from ((file, rule) for rule in file.rules)


def _listed(kept: KeptRules) -> str:
    lines = [
        f"{number:3} {rule}{'  (in all folders)' if file is kept.everywhere else ''}"
        for number, (file, rule) in enumerate(_numbered(kept), start=1)
    ]
    where = f"kept in {kept.here.path}" if kept.here.path else "kept until you leave"
    return "\n".join(
        [*(lines or ["no rules: `/rules add allow run_command: git *` adds one"]), f"({where})"]
    )


def _added(kept: KeptRules, text: str) -> str:
    plain = text.removeprefix("--everywhere ")
    file = kept.here if plain == text else kept.everywhere
    rule = Rule.parse(plain)
    if rule in file.rules:
        return f"there already: {rule}"
    return _kept(partial(file.add, rule), f"added: {rule}")


def _removed(kept: KeptRules, text: str) -> str:
    numbered = list(_numbered(kept))
    if text.isdecimal():
        chosen = numbered[int(text) - 1 : int(text)] if int(text) else []
    else:
        wanted = Rule.parse(text)
        chosen = [(file, rule) for file, rule in numbered if rule == wanted]
    if not chosen:
        raise UsageError(f"there is no rule {text}; `/rules` lists them")
    said = [_kept(partial(file.remove, rule), f"removed: {rule}") for file, rule in chosen]
    return "\n".join(said)


def _kept(change: Callable[[], None], said: str) -> str:
    try:
        change()
    except OSError as error:
        return f"{said} until you leave: {error}"
    return said
