"""A program without an event loop: a request, a run to loop over, several threads, Ctrl-C.

python -m tests.embedding.synchronous [asyncio|trio]
python -m tests.embedding.synchronous [asyncio|trio] wait       # and then press Ctrl-C
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from tether import Agent, MessageUpdate, TextDelta, ToolExecutionUpdate, blocking
from tether.testing import ScriptedModel, call, check_transcript
from tether.toolbox.coding import changing_tools


def ask(backend: Any) -> None:
    agent = Agent(ScriptedModel("Hello.", "Hello again."))
    print(blocking.prompt(agent, "hi", backend=backend).text)
    with blocking.run(agent, "hi", backend=backend) as run:
        for event in run:
            match event:
                case MessageUpdate(delta=TextDelta(text)):
                    print(text, end="")
    print()


def ask_in_threads(backend: Any) -> None:
    def answer(number: int) -> str:
        agent = Agent(ScriptedModel(f"Answer {number}."))
        return blocking.prompt(agent, f"Question {number}?", backend=backend).text

    with ThreadPoolExecutor(4) as threads:
        print(*threads.map(answer, range(8)))


def wait_for_ctrl_c(backend: Literal["asyncio", "trio"]) -> None:
    """Run a command for ever; when interrupted, show that the agent can go on."""
    model = ScriptedModel(
        call("run_command", command="sleep 1000 & echo $$ $!; wait"), "Where were we?"
    )
    agent = Agent(model, tools=changing_tools("."))
    try:
        with blocking.run(agent, "Work.", backend=backend) as run:
            for event in run:
                if isinstance(event, ToolExecutionUpdate):
                    text = "".join(block.text for block in event.content)  # type: ignore[union-attr]  # commands print text
                    print("processes", text.strip(), flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    check_transcript(agent.messages)
    print(blocking.prompt(agent, "Go on.", backend=backend).text)


if __name__ == "__main__":
    loop: Any = sys.argv[1] if len(sys.argv) > 1 else "asyncio"
    if sys.argv[2:] == ["wait"]:
        wait_for_ctrl_c(loop)
    else:
        ask(loop)
        ask_in_threads(loop)
