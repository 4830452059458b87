"""Events of the Responses API, as a server would send them."""

from typing import Any


def added(index: int, **item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, **item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def more(kind: str, delta: str, index: int = 0, **at: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": delta, **at}


def ended(how: str = "completed", **response: Any) -> dict[str, Any]:
    return {"type": f"response.{how}", "response": {"id": "r", "status": how, **response}}


CREATED = {"type": "response.created", "response": {"id": "r", "model": "gpt-real", "output": []}}
SAYS = added(0, type="message", id="m", content=[])
CALLS = added(0, type="function_call", id="fc", call_id="c", name="f", arguments="")
