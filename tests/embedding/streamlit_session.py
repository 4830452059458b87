"""A session with a page of Streamlit, as a browser has one: say things, and print what is written.

python -m tests.embedding.streamlit_session PORT TEXT...
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from tornado.websocket import WebSocketClientConnection, websocket_connect


async def elements(socket: WebSocketClientConnection) -> AsyncIterator[Any]:
    """What the page shows, until its script has ended."""
    while raw := await socket.read_message():
        message = ForwardMsg()
        message.ParseFromString(raw)  # type: ignore[arg-type]
        if message.HasField("script_finished"):
            return
        yield message.delta.new_element


async def main(port: str, *said: str) -> None:
    url = f"ws://127.0.0.1:{port}/_stcore/stream"
    socket = await websocket_connect(url, subprotocols=["streamlit"])
    await say(socket, "", "")
    widget = ""
    async with aclosing(elements(socket)) as shown:  # type: ignore[type-var]
        async for element in shown:
            widget = element.chat_input.id or widget
    for text in said:
        await say(socket, widget, text)
        async with aclosing(elements(socket)) as shown:  # type: ignore[type-var]
            async for element in shown:
                print(element.markdown.body, flush=True)


async def say(socket: WebSocketClientConnection, widget: str, text: str) -> None:
    message = BackMsg()
    message.rerun_script.query_string = ""
    if widget:
        state = message.rerun_script.widget_states.widgets.add()
        state.id = widget
        state.chat_input_value.data = text
    await socket.write_message(message.SerializeToString(), binary=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
