"""Gradio: a chat whose function is a plain generator.

python -m tests.embedding.gradio_app PORT
"""

import sys
from collections.abc import Iterator
from typing import Any

import gradio
from tests.embedding.agents import new_agent

import tether
from tether import blocking


def answer(message: str, history: list[Any]) -> Iterator[str]:
    text = ""
    with blocking.run(new_agent(), message) as run:
        for event in run:
            match event:
                case tether.MessageUpdate(delta=tether.TextDelta(more)):
                    text += more
                    yield text


app = gradio.ChatInterface(answer)

if __name__ == "__main__":
    app.launch(server_port=int(sys.argv[1]), quiet=True)
