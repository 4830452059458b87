"""Options that a server refuses, and the request without them. No I/O.

What a model takes differs from model to model, and from one organisation to another, and is documented late. So an
option is sent where it belongs to the API; if the server refuses it by its name, the request is made without it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, TypeAlias

__all__ = ("option_refused", "without_options")

Body: TypeAlias = Mapping[str, Any]

_REFUSALS: Final = re.compile(
    r"support|unrecognized|unknown|unexpected|extra inputs|permitted|allowed|available|verified|may not|only works",
    re.IGNORECASE,
)
"""Words of a refusal, in whose neighbourhood the name of an option stands for that option."""


def _without(*paths: tuple[str, ...]) -> Callable[[Body], Body]:
    """Make a function that leaves out fields, and the objects that hold nothing else."""

    def change(body: Body) -> Body:
        for path in paths:
            body = _left_out(body, path)
        return body

    return change


def _left_out(body: Body, path: tuple[str, ...]) -> Body:
    name, *inner = path
    if name not in body:
        return body
    rest = {key: value for key, value in body.items() if key != name}
    if not inner:
        return rest
    if not isinstance(body[name], Mapping):
        return body
    changed = _left_out(body[name], tuple(inner))
    return {**body, name: changed} if changed else rest


def _without_sealed_reasoning(body: Body) -> Body:
    wanted = [one for one in body.get("include") or () if one != "reasoning.encrypted_content"]
    return {**body, "include": wanted} if wanted else _left_out(body, ("include",))


def _unforced(body: Body) -> Body:
    """Let the model decide whether it calls a tool."""
    choice = body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, Mapping) else choice
    return body if kind in {None, "auto", "none"} else _left_out(body, ("tool_choice",))


def _renamed(name: str, other: str) -> Callable[[Body], Body]:
    def change(body: Body) -> Body:
        if name not in body:
            return body
        return {other if key == name else key: value for key, value in body.items()}

    return change


_OPTIONS: Final[Mapping[str, tuple[str, Callable[[Body], Body]]]] = {
    "summary": (r"reasoning[._ ]summar", _without(("reasoning", "summary"))),
    "sealed reasoning": (r"encrypted[._ ]content", _without_sealed_reasoning),
    "forced call": (r"tool[_ ]?choice", _unforced),
    "effort": (
        r"\b(?:reasoning[._ ]?)?effort\b|output_config",
        _without(("reasoning", "effort"), ("reasoning_effort",), ("output_config", "effort")),
    ),
    "thinking": (
        r"support\w* (?:for )?(?:thinking|reasoning)|\bparameters?:? \W*(?:thinking|reasoning)"
        r"|\b(?:thinking|reasoning)\b.{0,20} (?:not (?:supported|permitted|allowed)|unsupported)"
        r"|thinking[_ ]?(?:config|level|budget|mode)",
        _without(
            ("thinking",),
            ("output_config", "effort"),
            ("reasoning",),
            ("reasoning_effort",),
            ("generationConfig", "thinkingConfig"),
        ),
    ),
    "temperature": (r"\btemperature\b", _without(("temperature",))),
    "older limit": (
        r"\b(?:use|with) \W?max_completion_tokens",
        _renamed("max_tokens", "max_completion_tokens"),
    ),
    "newer limit": (
        r"(?:unrecognized|unknown|unexpected|unsupported)\b.{0,40}max_completion_tokens"
        r"|max_completion_tokens.{0,40}(?:unexpected|extra inputs|not (?:supported|permitted|allowed))",
        _renamed("max_completion_tokens", "max_tokens"),
    ),
    "usage": (r"stream_options|include_usage", _without(("stream_options",))),
}
"""Options by name: the words by which a server refuses each, and the request without it."""


def option_refused(body: Body, answer: bytes, left_out: Collection[str]) -> str | None:
    """Find the option that a server refuses.

    Args:
        body: the request, as it was sent.
        answer: what the server answered, with a status of 400 or 422.
        left_out: the options that are left out already.

    Returns:
        The name of an option that the request has and the answer names; None if there is none.
    """
    told = answer.decode(errors="replace")
    if not _REFUSALS.search(told):
        return None
    for name, (words, change) in _OPTIONS.items():
        is_named = name not in left_out and re.search(words, told, re.IGNORECASE)
        if is_named and change(body) != body:
            return name
    return None


def without_options(body: Body, names: Iterable[str]) -> Body:
    """Return a request without some of its options."""
    for name in names:
        body = _OPTIONS[name][1](body)
    return body
