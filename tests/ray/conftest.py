"""One cluster of two nodes for all tests, and two workers that most of them share, until other tests come."""

import logging
import os
from collections.abc import Generator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from anyio.from_thread import start_blocking_portal
from tests.ray.nodes import ENVIRONMENT, two_nodes

if TYPE_CHECKING:
    from tether.ray import Cluster

_HERE = Path(__file__).parent


class _Open:
    """What is open: kept from test to test, and closed before those of another folder, as Ray has threads."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._address: str | None = None
        self._cluster: Cluster | None = None

    def nodes(self, folder: Path) -> str:
        if self._address is None:
            import ray

            os.environ.update(ENVIRONMENT)
            running = os.environ.get("TETHER_TEST_RAY_ADDRESS")  # one that is there already
            cluster = two_nodes(folder) if running is None else nullcontext(running)
            self._address = self._stack.enter_context(cluster)
            ray.init(self._address, log_to_driver=False, logging_level=logging.ERROR)
            self._stack.callback(ray.shutdown)
        return self._address

    def cluster(self) -> "Cluster":
        if self._cluster is None:
            from tether.ray import workers

            portal = self._stack.enter_context(start_blocking_portal())
            opened = portal.wrap_async_context_manager(
                workers(2, lease=30, options={"num_cpus": 0})
            )
            self._cluster = self._stack.enter_context(opened)
        return self._cluster

    def close(self) -> None:
        self._address = self._cluster = None
        self._stack.close()


_OPEN = pytest.StashKey[_Open]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Close what is open behind the last of these tests."""
    done = yield
    opened = item.config.stash.get(_OPEN, None)
    if opened is not None and (nextitem is None or nextitem.path.parent != _HERE):
        opened.close()
    return done


@pytest.fixture
def nodes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The cluster's address; the processes of pytest-xdist share it. This process is connected."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return request.config.stash.setdefault(_OPEN, _Open()).nodes(shared / "ray")


@pytest.fixture
def cluster(request: pytest.FixtureRequest, nodes: str) -> "Cluster":
    """Two workers, opened in an event loop of their own: a cluster belongs to none."""
    del nodes
    return request.config.stash[_OPEN].cluster()
