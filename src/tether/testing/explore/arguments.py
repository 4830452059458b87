"""Arguments of a call, made from the JSON Schema of a tool: tame ones, and others that the schema allows.

No I/O, no clock, no chance.
"""

from collections.abc import Mapping
from typing import Any, Final

from tether.testing.explore.choices import Choices

__all__ = ("arguments",)

_STRINGS: Final = ("a", "b", "", "ünï", "a much longer text than that")
_NUMBERS: Final = (0, 1, 2, 3, -1, 1000)
_DEEPEST: Final = 4


def arguments(schema: Mapping[str, Any], choices: Choices, site: str) -> dict[str, Any]:
    """Make arguments.

    Args:
        schema: the parameters of the tool.
        choices: answer which values there are.
        site: what the names of sites begin with.

    Returns:
        The arguments: all that are required, and others where that is chosen.
    """
    made = _Maker(choices, schema.get("$defs", {})).value(schema, site, 0)
    return made if isinstance(made, dict) else {}


class _Maker:
    def __init__(self, choices: Choices, definitions: Mapping[str, Any]) -> None:
        self._choices = choices
        self._definitions = definitions

    def value(self, schema: Mapping[str, Any], site: str, depth: int) -> Any:
        """Make a value that a schema allows."""
        if reference := schema.get("$ref"):
            schema = self._definitions.get(str(reference).rpartition("/")[2], {})
        for name in ("anyOf", "oneOf"):
            if some := schema.get(name):
                return self.value(self._one_of(site, some), f"{site}.which", depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._one_of(site, schema["enum"])
        kind: Any = schema.get("type", "object" if "properties" in schema else "string")
        match self._one_of(site, kind) if isinstance(kind, list) else kind:
            case "object":
                return self._object(schema, site, depth)
            case "array":
                size = int(schema.get("minItems", 0))
                if depth < _DEEPEST:
                    size += self._choices.choose(f"{site}.size", 3)
                each = schema.get("items", {})
                return [self.value(each, f"{site}.{place}", depth + 1) for place in range(size)]
            case "integer" | "number":
                low, high = schema.get("minimum"), schema.get("maximum")
                number = self._one_of(site, _NUMBERS)
                number = number if low is None else max(low, number)
                return number if high is None else min(high, number)
            case "boolean":
                return bool(self._choices.choose(site, 2))
            case "null":
                return None
            case _:
                text: str = self._one_of(site, _STRINGS)
                return text.ljust(int(schema.get("minLength", 0)), "a")

    def _object(self, schema: Mapping[str, Any], site: str, depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        made: dict[str, Any] = {}
        for name, each in schema.get("properties", {}).items():
            below = f"{site}.{_plain(name)}"
            given = name in required
            if not given and depth < _DEEPEST:
                given = bool(self._choices.choose(f"{below}.given", 2))
            if given:
                made[name] = self.value(each, below, depth + 1)
        return made

    def _one_of(self, site: str, values: Any) -> Any:
        return values[self._choices.choose(site, len(values))]


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
