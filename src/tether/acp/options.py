"""What a person chooses in the editor: the model, and how much it thinks. No I/O."""

from collections.abc import Sequence
from typing import Any, Final, get_args

from tether import Agent, UsageError
from tether.acp.jsonrpc import INVALID_PARAMS, RpcError
from tether.model import ThinkingLevel

__all__ = ("choose", "options_of")

_MODEL: Final = "model"
_THINKING: Final = "thinking"
_DEFAULT: Final = "default"
"""The word for a model's own way."""


def options_of(agent: Agent, models: Sequence[str]) -> list[dict[str, Any]]:
    """Describe the options of an agent.

    Args:
        agent: the agent.
        models: the names of models to choose from, besides the one that it has.
    """
    names = list(dict.fromkeys([agent.model.name, *models]))
    levels = [_DEFAULT, *_levels()]
    thinking = agent.thinking or _DEFAULT
    return [
        _select(_MODEL, "Model", "model", agent.model.name, names),
        _select(_THINKING, "Thinking", "thought_level", str(thinking), levels),
    ]


def choose(agent: Agent, option: Any, value: Any) -> None:
    """Set an option of an agent.

    Raises:
        RpcError: there is no such option, or it cannot be that.
    """
    if not isinstance(value, str):
        raise RpcError(INVALID_PARAMS, f"the value of an option is a string, not {value!r}")
    match option:
        case "model":
            if value != agent.model.name:
                _set_model(agent, value)
        case "thinking" if value in _levels():
            agent.thinking = value  # type: ignore[assignment]
        case "thinking" if value == _DEFAULT:
            agent.thinking = None
        case "thinking":
            raise RpcError(INVALID_PARAMS, f"thinking is one of {', '.join(_levels())}")
        case _:
            raise RpcError(INVALID_PARAMS, f"there is no option {option!r}")


def _set_model(agent: Agent, name: str) -> None:
    try:
        agent.model = name
    except UsageError as error:
        raise RpcError(INVALID_PARAMS, str(error)) from error


def _levels() -> Sequence[str]:
    return [str(level) for level in get_args(ThinkingLevel)]


def _select(
    id_: str, name: str, category: str, value: str, values: Sequence[str]
) -> dict[str, Any]:
    return {
        "id": id_,
        "name": name,
        "category": category,
        "type": "select",
        "currentValue": value,
        "options": [{"value": one, "name": one} for one in values],
    }
