"""A list of what is to be done, which the model keeps and people see. The conversation itself is where it is kept."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias

from attrs import asdict, frozen

from tether import Message, Tool, ToolContext, ToolResult, tool

__all__ = ("TodoItem", "TodoStatus", "items_in", "todo_of", "todo_tool")

TodoStatus: TypeAlias = Literal["pending", "in_progress", "completed"]

_STATUSES: Final = ("pending", "in_progress", "completed")
_MOST: Final = 100


@frozen
class TodoItem:
    """A thing to be done."""

    text: str
    status: TodoStatus = "pending"

    @property
    def line(self) -> str:
        """How people see it."""
        mark = {"pending": " ", "in_progress": ">", "completed": "x"}[self.status]
        return f"[{mark}] {' '.join(self.text.split())}"


def todo_tool() -> Tool:
    """Make `todo`, by which a model keeps a list of what is to be done.

    The list is in the result of the call, so it is there again where a conversation is resumed, and goes back with it
    where that does; see `todo_of`.
    """

    @tool(title="Keep a list", kind="think", read_only=True, idempotent=True)
    async def todo(context: ToolContext[Any], items: list[TodoItem] | None = None) -> ToolResult:
        """Keep a list of what is to be done, which the person sees.

        Write it when a task has several steps, and again when one is begun or done. Have one in progress at a time.

        Args:
            items: the whole list, which replaces the one before; without it, the list is only shown
            context: the call
        """
        listed = todo_of(context.messages) if items is None else tuple(items)
        if len(listed) > _MOST:
            raise ValueError(f"the list may have {_MOST} items, not {len(listed)}")
        if any(not item.text.strip() for item in listed):
            raise ValueError("each item needs a text")
        done = sum(item.status == "completed" for item in listed)
        head = f"{done} of {len(listed)} done" if listed else "the list is empty"
        text = "\n".join([head, *(item.line for item in listed)])
        return ToolResult(text, details={"todo": [asdict(item) for item in listed]})

    return todo


def todo_of(messages: Iterable[Message]) -> Sequence[TodoItem]:
    """Find the list that a conversation has.

    Args:
        messages: the conversation.

    Returns:
        The items as they are now; none if there is no list.
    """
    found: Sequence[TodoItem] = ()
    for message in messages:
        if message.role == "tool" and message.name == "todo" and not message.is_error:
            found = items_in(message.details) or ()
    return found


def items_in(details: Any) -> Sequence[TodoItem] | None:
    """Read the list in the details of a result; None where there is none: other tools may have that name."""
    match details:
        case {"todo": [*items]}:
            return [
                TodoItem(text, status)
                for item in items
                if isinstance(item, dict)
                and isinstance(text := item.get("text"), str)
                and (status := item.get("status")) in _STATUSES
            ]
        case _:
            return None
