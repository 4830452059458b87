"""One cluster of two nodes for all tests, and two workers that most of them share."""

import logging
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from anyio.from_thread import start_blocking_portal
from tests.ray.nodes import ENVIRONMENT, two_nodes

if TYPE_CHECKING:
    from tether.ray import Cluster


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The cluster, which the processes of pytest-xdist share; and this process is connected to it."""
    import ray

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ.update(ENVIRONMENT)
    # For the tests, one that runs already will do.
    running = os.environ.get("TETHER_TEST_RAY_ADDRESS")
    with two_nodes(Path(shared) / "ray") if running is None else nullcontext(running) as address:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        yield address
        ray.shutdown()


@pytest.fixture(scope="session")
def cluster(nodes: str) -> "Iterator[Cluster]":
    """Two workers, opened in an event loop of their own: a cluster belongs to none."""
    from tether.ray import workers

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(workers(2, lease=30, options={"num_cpus": 0})) as opened,
    ):
        yield opened
