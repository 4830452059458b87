"""tether for plain functions, without an event loop of their own: `from tether import blocking`.

result = blocking.prompt(agent, "What is in pyproject.toml?")

with blocking.run(agent, "Explain it.") as run:
for event in run: ...
"""

from tether.blocking.face import BlockingChat, chat, prompt, run
from tether.blocking.handles import BlockingRun, BlockingStream

__all__ = ("BlockingChat", "BlockingRun", "BlockingStream", "chat", "prompt", "run")
