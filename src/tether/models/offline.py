"""A model that needs no network: it follows rules, and is honest about it.

It reads requests such as

    read README.md and list src then tell me how many lines README.md has
    search TODO in src
    run ls -la
    write hello to notes.txt
    replace hello with good morning in notes.txt

calls the tools that match (what is joined by "and" or a comma at once, what comes after "then" afterwards), and
makes its answer from their results.

It is not a second kind of model. It is a chat-completions server inside the process: requests are encoded, framed,
decoded and streamed as for any other server of that API, so that trying tether without a key exercises what a
key would.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from tether.messages import JsonObject
from tether.models._http.client import HttpModel
from tether.models._http.in_process import respond_in_process
from tether.models.openai_chat.api import OPENAI_CHAT

__all__ = ("Step", "offline_model", "plan", "respond")

_UNKNOWN: Final = (
    "I am the offline model and know only a few rules: read FILE, list FOLDER, search TEXT in FOLDER, "
    "how many lines has FILE, run COMMAND, write TEXT to FILE, replace TEXT with TEXT in FILE; joined by "
    '"and" or "then". '
    "Set a key and name a model to ask for anything else."
)


@frozen
class Step:
    """One thing to do."""

    verb: str
    tool: str
    arguments: JsonObject


@frozen
class _Rule:
    verb: str
    pattern: str
    tool: str
    arguments: tuple[str, ...]

    def match(self, phrase: str) -> Step | None:
        found = re.fullmatch(self.pattern, phrase, re.IGNORECASE | re.DOTALL)
        if found is None:
            return None
        values = [_unquoted(value) if value else "." for value in found.groups()]
        return Step(self.verb, self.tool, dict(zip(self.arguments, values, strict=True)))


_POLITE: Final = r"(?:please |can you |could you |tell me |show me |and |also )*"
_PATH: Final = r"@?[`'\"]?([^\s`'\"]+?)[`'\"]?"
_RULES: Final = (
    _Rule(
        "count",
        _POLITE
        + rf"how many lines (?:has|does|are in|are there in|in)? ?(?:the file )?{_PATH}(?: has| have)?",
        "read_file",
        ("path",),
    ),
    _Rule("count", _POLITE + rf"count (?:the )?lines (?:of|in) {_PATH}", "read_file", ("path",)),
    _Rule(
        "search",
        _POLITE + rf"(?:search|grep|look)(?: for)? (.+?) in {_PATH}",
        "search_text",
        ("pattern", "path"),
    ),
    _Rule("search", _POLITE + r"(?:search|grep)(?: for)? (.+)", "search_text", ("pattern",)),
    _Rule(
        "list",
        _POLITE
        + rf"list(?: (?:all )?(?:the )?files)?(?: (?:in|of))?(?: (?:the )?(?:folder )?{_PATH})?",
        "list_files",
        ("path",),
    ),
    _Rule(
        "edit",
        _POLITE + rf"(?:replace|change) (.+?) (?:with|to|by) (.+) in {_PATH}",
        "edit_file",
        ("old", "new", "path"),
    ),
    _Rule("write", _POLITE + rf"write (.+) (?:to|into) {_PATH}", "write_file", ("content", "path")),
    _Rule(
        "read",
        _POLITE + rf"(?:read|open|cat|show)(?: (?:the )?file)? {_PATH}",
        "read_file",
        ("path",),
    ),
    _Rule("run", _POLITE + r"(?:run|execute) (.+)", "run_command", ("command",)),
)


def offline_model() -> HttpModel:
    """Make the model."""
    return HttpModel(
        name="offline",
        model="offline",
        api=OPENAI_CHAT,
        base_url="http://offline",
        transport=respond_in_process(respond),
    )


def plan(request: str) -> Sequence[Sequence[Step]]:
    """Read a request.

    Args:
        request: what a person said.

    Returns:
        Groups of steps: those of a group at once, the groups one after the other. Phrases that no rule
        knows are left out.
    """
    groups = re.split(r",?\s*\b(?:and )?then\b,?\s*", request.strip(), flags=re.IGNORECASE)
    steps = [[step for phrase in _phrases(group) if (step := _step(phrase))] for group in groups]
    return [group for group in steps if group]


def respond(body: Mapping[str, Any]) -> Iterator[JsonObject]:
    """Answer a chat-completions request.

    Args:
        body: the request's body.

    Returns:
        The chunks of the reply, in order.
    """
    messages: Sequence[Mapping[str, Any]] = body["messages"]
    last = max((n for n, m in enumerate(messages) if m["role"] == "user"), default=-1)
    since = messages[last + 1 :]
    offered = {tool["function"]["name"] for tool in body.get("tools", ())}
    groups = _plan_of(messages[last]) if last >= 0 else ()
    asked = sum(1 for message in since if message.get("tool_calls"))
    prompt_tokens = sum(len(json.dumps(message)) for message in messages) // 4
    missing = _missing(groups[asked], offered) if asked < len(groups) else []
    if asked < len(groups) and not missing:
        yield from _calls(groups[asked], asked)
        yield _end("tool_calls", prompt_tokens, 8 * len(groups[asked]))
        return
    if asked < len(groups):
        answer = f"I would need the tool {missing[0]} for that, and was not given it."
    else:
        steps = [step for group in groups for step in group]
        results = [_text(message) for message in since if message["role"] == "tool"]
        answer = "\n".join(map(_told, steps, results)) or _UNKNOWN
    words = re.findall(r"\s*\S+", answer)
    for word in words:
        yield _chunk({"content": word})
    yield _end("stop", prompt_tokens, len(words))


def _plan_of(message: Mapping[str, Any]) -> Sequence[Sequence[Step]]:
    """Read what a person said, apart from what is attached to it."""
    content = message.get("content") or ""
    parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    first = [part.partition("\n\n")[0] for part in parts]  # what was piped in stands behind it
    return next((groups for part in [*parts, *first] if (groups := plan(part))), ())


def _phrases(group: str) -> Sequence[str]:
    """Cut a group where a new phrase begins, not at every "and": a command may hold one."""
    verbs = "read|open|cat|show|list|search|grep|look|run|execute|write|replace|change|count|how many|tell me|please"
    joint = rf"\s*(?:,\s*and|,|\band)\s+(?=(?:{verbs})\b)"
    return [phrase.strip(" .!?") for phrase in re.split(joint, group, flags=re.IGNORECASE)]


def _step(phrase: str) -> Step | None:
    return next((step for rule in _RULES if (step := rule.match(phrase))), None)


def _missing(steps: Sequence[Step], offered: set[str]) -> Sequence[str]:
    return [step.tool for step in steps if step.tool not in offered]


def _told(step: Step, result: str) -> str:
    """One step's part of the answer, made from its result."""
    if result.startswith("This call was "):
        return result  # denied, skipped or interrupted: there is nothing to report of it
    about = step.arguments.get("path") or step.arguments.get("command") or "."
    lines = result.splitlines()
    first = next((line.strip() for line in lines if line.strip()), "nothing")
    match step.verb:
        case "count":
            return f"{about} has {_line_count(result)} lines."
        case "read":
            return f"{about} begins: {first}"
        case "list":
            names = ", ".join(line.strip() for line in lines[:12])
            return f"{about} holds: {names}{', ...' if len(lines) > 12 else ''}"
        case "search":
            return f"Searching {step.arguments['pattern']}: {first}"
        case "run":
            return f"{about} printed: {result.strip()}"
        case _:
            return first


def _line_count(result: str) -> int:
    told = re.search(r"\b(\d+) lines\b", result.splitlines()[-1] if result else "")
    return int(told[1]) if told else len(result.splitlines())


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _unquoted(value: str) -> str:
    return value.strip().strip("`'\"")


def _calls(steps: Sequence[Step], group: int) -> Iterator[JsonObject]:
    for index, step in enumerate(steps):
        head = {"id": f"call_{group + 1}_{index + 1}", "type": "function"}
        name = {"name": step.tool, "arguments": ""}
        yield _chunk({"tool_calls": [{"index": index, **head, "function": name}]})
        arguments = json.dumps(step.arguments)
        for start in range(0, len(arguments), 8):
            piece = {"arguments": arguments[start : start + 8]}
            yield _chunk({"tool_calls": [{"index": index, "function": piece}]})


def _chunk(delta: JsonObject, finish_reason: str | None = None) -> dict[str, Any]:
    return {
        "id": "offline",
        "object": "chat.completion.chunk",
        "model": "offline",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


def _end(finish_reason: str, prompt_tokens: int, completion_tokens: int) -> JsonObject:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return {**_chunk({}, finish_reason), "usage": usage}
