"""Task queues: a worker's task is answered, ended, and leaves no process; so does the worker at SIGTERM."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.embedding.processes import GUARD, ROOT, STRICT, all_end, descendants_at_work, running
from tests.ports import reserved_port

pytestmark = [
    pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc"),
]

CONFIGURED = """
from tests.embedding.celery_app import app, ask
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={{
        "data_folder_in": "{folder}", "data_folder_out": "{folder}", "control_folder": "{folder}",
        "polling_interval": 0.05,
    }},
    result_backend="file://{folder}",
)
"""


@contextmanager
def quiet_worker(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a worker whose log nobody reads."""
    with running(
        *arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    ) as process:
        yield process


@pytest.mark.parametrize("way", ["revoked", "SIGTERM"])
def test_a_task_of_celery_ends_with_its_processes(way: str, tmp_path: Path) -> None:
    pytest.importorskip("celery", reason="celery is not installed")
    (tmp_path / "celery_configured.py").write_text(CONFIGURED.format(folder=tmp_path))
    own = ("-W", "ignore:You're running the worker with superuser privileges:Warning")
    arguments = [*STRICT, *own, "-m", "celery", "-A", "celery_configured", "worker", "-c", "1"]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    # The client is a process of its own: it leaves files open, and warns.
    client_environment = {**os.environ, "PYTHONPATH": path}
    with (
        quiet_worker(*arguments, PYTHONPATH=path, REMAP_SIGTERM="SIGQUIT") as worker,
        running("-c", CELERY, way, env=client_environment, stdin=subprocess.PIPE) as client,
    ):
        assert client.stdout is not None
        assert client.stdin is not None
        assert client.stdout.readline() == "Hello, browser.\n"
        pids = descendants_at_work(worker.pid)
        if way == "revoked":
            print(file=client.stdin, flush=True)
            assert all_end(pids)
        worker.terminate()
        worker.wait(3 * GUARD)
        assert all_end(pids, within=0)


CELERY = f"""
import sys
from celery_configured import ask
print(ask.delay("hi").get(timeout={3 * GUARD}), flush=True)
work = ask.delay("work")
sys.stdin.readline()
if sys.argv[1] == "revoked":
    work.revoke(terminate=True)
"""


@contextmanager
def redis_at(port: int) -> Iterator[None]:
    command = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            until(lambda: _answers(port))
            yield
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + 3 * GUARD
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("way", ["timeout", "SIGTERM"])
def test_a_job_of_rq_ends_with_its_processes(way: str) -> None:
    pytest.importorskip("rq", reason="rq is not installed")
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server")
    from redis import Redis
    from rq import Queue
    from tests.embedding.rq_jobs import ask

    with (
        reserved_port() as port,
        redis_at(port),
        Redis("127.0.0.1", port) as redis,
        quiet_worker(*STRICT, "-c", RQ, str(port)) as worker,
    ):
        queue = Queue(connection=redis)
        job: Any = queue.enqueue(ask, "hi")
        until(lambda: job.is_finished)
        assert job.return_value() == "Hello, browser."
        job = queue.enqueue(ask, "work", job_timeout=5 if way == "timeout" else 600)
        pids = descendants_at_work(worker.pid)
        if way == "timeout":
            assert all_end(pids)
        worker.send_signal(signal.SIGTERM)
        worker.wait(3 * GUARD)
        assert all_end(pids, within=0)
        assert job.is_failed


RQ = """
import sys
import tests.embedding.rq_jobs  # so that the time of a job is its own
from redis import Redis
from rq.worker import HerokuWorker
class Worker(HerokuWorker):
    imminent_shutdown_delay = 0
Worker(["default"], connection=Redis("127.0.0.1", int(sys.argv[1]))).work()
"""
