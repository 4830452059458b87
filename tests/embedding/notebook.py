"""Run cells in a kernel of Jupyter, and interrupt those that say that they work.

python -m tests.embedding.notebook CELL...
"""

import re
import sys
from typing import Any

from jupyter_client.manager import KernelManager, start_new_kernel

TIMEOUT = 60


def main(cells: list[str]) -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        for cell in cells:
            run(manager, client, cell)
        # As "Restart" does.
        manager.shutdown_kernel()
    finally:
        client.stop_channels()
        if manager.is_alive():
            manager.shutdown_kernel(now=True)


def run(manager: KernelManager, client: Any, cell: str) -> None:
    def show(message: Any) -> None:
        content = message["content"]
        match message["header"]["msg_type"]:
            case "stream":
                print(content["text"], end="", flush=True)
                if re.match(r"\d+ \d+", content["text"]):
                    manager.interrupt_kernel()
            case "error":
                print(content["ename"], flush=True)

    client.execute_interactive(cell, timeout=TIMEOUT, output_hook=show)


if __name__ == "__main__":
    main(sys.argv[1:])
