"""What a turn costs as the history grows: a run of many turns, each with one call of a trivial tool.

The model is in the process, behind the same encoder, HTTP client and decoder as any: it answers each request with a
call. Counted is the CPU time of the process for each turn, and how the last fifty turns compare with the first fifty;
with a session and without. Beside it a bare loop over plain httpx with json, which sends the same history.

    python benchmarks/turns.py [TURNS]
"""

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx

from tether import Agent, Session, TurnEnd, model_from_name, tool

WINDOW = 50
REPETITIONS = 3


class Answers:
    """A server in the process: a call at each request, and words at the last."""

    def __init__(self, turns: int) -> None:
        self._left = turns

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self._left -= 1
        if self._left:
            function = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
            call = {"index": 0, "id": f"c{self._left}", "type": "function", "function": function}
            body = chunk({"tool_calls": [call]}) + chunk({}, "tool_calls")
        else:
            body = chunk({"content": "Done."}) + chunk({}, "stop")
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, stream=Body(body + b"data: [DONE]\n\n"))


class Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> Any:
        await anyio.lowlevel.checkpoint()
        yield self._body


def chunk(delta: Any, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode()


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def ours(turns: int, session: Session | None = None) -> list[float]:
    """Return when each turn ended."""
    answers = Answers(turns)
    model = model_from_name(
        "openai-chat:m",
        base_url="http://x",
        api_key="k",
        transport=lambda: httpx.MockTransport(answers),
    )
    agent = Agent(model, tools=[add], session=session)
    ends = [time.process_time()]
    async with agent.run("go") as run:
        ends += [time.process_time() async for event in run if isinstance(event, TurnEnd)]
    assert len(ends) == turns + 1
    return ends


async def with_session(turns: int) -> list[float]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Session.open(Path(folder) / "s.jsonl") as session,
    ):
        return await ours(turns, session)


async def plain(turns: int) -> list[float]:
    """The same by hand."""
    messages: list[Any] = [{"role": "user", "content": "go"}]
    parameters = {"type": "object", "properties": {"a": {}, "b": {}}}
    function = {"name": "add", "description": "Add two numbers.", "parameters": parameters}
    tools = [{"type": "function", "function": function}]
    ends = [time.process_time()]
    async with httpx.AsyncClient(transport=httpx.MockTransport(Answers(turns))) as client:
        for _ in range(turns):
            body = {"model": "m", "messages": messages, "tools": tools, "stream": True}
            text, calls = "", []
            async with client.stream("POST", "http://x/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        delta = json.loads(line[6:])["choices"][0]["delta"]
                        text += delta.get("content") or ""
                        calls += delta.get("tool_calls") or []
            messages.append({"role": "assistant", "content": text, "tool_calls": calls})
            for call in calls:
                given = json.loads(call["function"]["arguments"])
                result = str(given["a"] + given["b"])
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
            ends.append(time.process_time())
    return ends


PROGRAMS: dict[str, Callable[[int], Awaitable[list[float]]]] = {
    "plain httpx and json": plain,
    "tether": ours,
    "tether with a session": with_session,
}


def main(turns: int = 400) -> None:
    print(f"{'ms of CPU a turn':34}{'all':>8}{'first':>8}{'last':>8}{'growth':>8}{'to httpx':>10}")
    for backend in ("asyncio", "trio"):
        base = 0.0
        for name, program in PROGRAMS.items():
            anyio.run(program, 20, backend=backend)  # what is imported and made once
            rows = []
            for _ in range(REPETITIONS):
                gc.collect()
                ends = anyio.run(program, turns, backend=backend)
                window = min(WINDOW, turns // 2)
                first = (ends[window] - ends[0]) / window
                last = (ends[-1] - ends[-1 - window]) / window
                rows.append(((ends[-1] - ends[0]) / turns, first, last, last / first))
            whole, first, last, growth = (
                statistics.median(column) for column in zip(*rows, strict=True)
            )
            base = base or whole
            figures = "".join(f"{figure * 1e3:8.2f}" for figure in (whole, first, last))
            print(f"{name + ', ' + backend:34}{figures}{growth:8.2f}{whole / base:10.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
