"""Gradio: a chat whose function is a plain generator.

python -m tests.embedding.gradio_app PORT
"""

import signal
import sys
from collections.abc import Iterator
from typing import Any

import gradio
from tests.embedding.agents import new_agent

import tether
from tether.embedding.threads import BlockingRuns

runs = BlockingRuns()


def answer(message: str, history: list[Any]) -> Iterator[str]:
    text = ""
    with runs.run(new_agent(), message) as run:
        for event in run:
            match event:
                case tether.MessageUpdate(delta=tether.TextDelta(more)):
                    text += more
                    yield text


app = gradio.ChatInterface(answer)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does
    with runs:
        app.launch(server_port=int(sys.argv[1]))
