"""A server with a scripted model, in a process of its own: `python -m tests.web.load_server asyncio`."""

import sys

import anyio

import tether
from tether.host import Conversation
from tether.testing import ScriptedModel
from tether.web import Bounds
from tether.web.application import made_site, site_application
from tether.web.rates import Rate
from tether.web.serving import listening, serve

TEXT = " ".join(f"word{n}" for n in range(30))


def make_agent(_: Conversation) -> tether.Agent:
    return tether.Agent(ScriptedModel(TEXT))


async def main(backend: str) -> None:
    listener = listening("127.0.0.1", 0)
    site = made_site(make_agent, max_runs=1000, bounds=Bounds(requests=Rate(1e6, 1e6)))
    application = site_application(site, authorise=None, has_lifespan=False)
    async with site.opened():
        print(listener.getsockname()[1], flush=True)
        await serve(application, listener, backend=backend, ending=lambda: site.streams.close())


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=sys.argv[1])
