"""The connection to Ray: made and ended by one thread, as what Ray starts here ends with the thread that started it."""

import threading

import pytest

pytest.importorskip("ray")

from tether.ray import cluster


class Connecting:
    """Stands in for Ray: notes which threads connect and disconnect."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.threads: list[threading.Thread] = []

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: object) -> None:
        self.threads.append(threading.current_thread())
        if self._error is not None:
            raise self._error

    def shutdown(self) -> None:
        self.threads.append(threading.current_thread())


async def test_the_thread_that_connects_lives_as_long_as_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "ray", ray := Connecting())
    async with cluster._connected(None, 60.0):
        [holder] = ray.threads
        assert holder.is_alive()
    assert ray.threads == [holder, holder]
    assert not holder.is_alive()


async def test_a_cluster_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ray", ray := Connecting(ConnectionError("no cluster")))
    with pytest.raises(ConnectionError, match="no cluster"):
        async with cluster.workers(1):
            raise AssertionError
    assert len(ray.threads) == 1
