"""A Ray cluster of two nodes on this machine, which ends with the last process that uses it.

Run as a program it is the cluster: it writes its address into a file, and waits until nobody holds the lock.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_raylet_start_wait_time_s": "120",
}
"""Nothing is reported to anyone, no process is started that may not be needed, and a machine may be busy."""
_STARTING: Final = 240.0


@contextmanager
def two_nodes(folder: Path) -> Iterator[str]:
    """Have the cluster, started by whoever comes first of those that share the folder; gives its address."""
    folder.mkdir(exist_ok=True)
    address = folder / "address"
    with (folder / "starting").open("w") as starting, (folder / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not address.exists():
            _start(folder, address)
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield address.read_text()


def _start(folder: Path, address: Path) -> None:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.ray.nodes", str(folder)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.returncode = 0  # it is nobody's to wait for: it may outlive this process
    give_up = time.monotonic() + _STARTING
    while not address.exists():
        if time.monotonic() > give_up:
            raise RuntimeError(f"no cluster: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.05)


def _be_the_cluster(folder: Path) -> None:
    from ray.cluster_utils import Cluster

    untyped: Any = Cluster
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = untyped(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    with (folder / "users").open("w") as users:
        try:
            cluster.add_node(**node)
            (folder / "new").write_text(cluster.address)
            (folder / "new").rename(folder / "address")
            fcntl.flock(users, fcntl.LOCK_EX)
            (
                folder / "address"
            ).unlink()  # whoever comes now waits for the lock, and starts another
        finally:
            cluster.shutdown()


if __name__ == "__main__":
    _be_the_cluster(Path(sys.argv[1]))
