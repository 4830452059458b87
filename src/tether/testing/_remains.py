"""What a run may leave behind: open sockets and pipes, processes, threads, async generators, complaints."""

import logging
import os
import signal
import stat
import sys
import threading
import time
import warnings
import weakref
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

__all__ = ("Surroundings", "busy_threads", "open_reports", "watch_async_generators")

_WAKING = 0.0003
"""Seconds in which a thread wakes."""
_REST = 0.1
"""Seconds to give threads that wait for a process that was killed."""

Report = Callable[[str, object], None]
"""Told what happened, and the exception that tells more, or None."""


class Surroundings:
    """What the process has open now, as the measure of what a run has left open."""

    def __init__(self) -> None:
        self._files = _open_files()
        self._children = _children()
        self._threads = busy_threads()

    def left(self, patience: float) -> list[str]:
        """Name what is there now and was not before.

        Args:
            patience: seconds to wait until it has gone. Threads take a moment to come to rest, and the other
                end of a socket may be in this process.
        """
        give_up = time.monotonic() + patience
        if threading.active_count() > 1:
            # A worker that was just given something to do looks idle until it wakes.
            time.sleep(_WAKING)
        while left := self._left_now():
            if time.monotonic() > give_up:
                self._end_children()
                break
            # Starts small: most of what is still there is gone within microseconds.
            time.sleep(0.0005)
        return left

    def _left_now(self) -> list[str]:
        files, children, threads = _open_files(), _children(), busy_threads()
        return [
            *(f"left open: {files[key]}" for key in sorted(files.keys() - self._files.keys())),
            *(f"left: {children[pid]}" for pid in sorted(children.keys() - self._children.keys())),
            *(
                f"left running: thread {threads[ident]}"
                for ident in sorted(threads.keys() - self._threads.keys())
            ),
        ]

    def _end_children(self) -> None:
        """Leave no strays behind a test that has failed because of them, nor threads that wait for them."""
        for pid in _children().keys() - self._children.keys():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        give_up = time.monotonic() + _REST
        while busy_threads().keys() - self._threads.keys() and time.monotonic() < give_up:
            time.sleep(0.0005)


def _open_files() -> Mapping[tuple[int, int, int], str]:
    """The sockets and pipes that are open, where the system lists them."""
    found: dict[tuple[int, int, int], str] = {}
    with suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir("/dev/fd"):
            with suppress(OSError):
                status = os.fstat(int(name))
                if kind := _kind(status.st_mode):
                    found[int(name), status.st_dev, status.st_ino] = f"{kind}, descriptor {name}"
    return found


def _kind(mode: int) -> str | None:
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a pipe" if stat.S_ISFIFO(mode) else None


def _children() -> Mapping[int, str]:
    """The child processes, those that have ended and were not waited for included."""
    if not hasattr(os, "waitid"):
        return {}
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return {}
    return dict(_listed_children()) or {0: "a child process"}


def _listed_children() -> Iterator[tuple[int, str]]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name in brackets may hold spaces and brackets itself.
            name, _, rest = status.read_text().partition("(")[2].rpartition(") ")
            state, parent = rest.split()[:2]
            if int(parent) == os.getpid():
                pid = int(status.parent.name)
                ended = ", which has ended and was not waited for" if state == "Z" else ""
                yield pid, f"child process {pid} ({name}){ended}"


def busy_threads() -> Mapping[int, str]:
    """The threads that are neither this one nor a backend's idle worker."""
    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - it is documented
    return {
        thread.ident: thread.name
        for thread in threading.enumerate()
        if thread.ident is not None
        and thread is not threading.current_thread()
        and not _is_idle_worker(frames.get(thread.ident))
    }


_AT_REST = (
    ("threading.wait", "queue.get", "anyio._backends._asyncio.run"),
    ("concurrent.futures.thread._worker",),
    ("trio._core._thread_cache._work",),
)
"""How the stacks of the backends' worker threads end, innermost first, when they have nothing to do."""


def _is_idle_worker(frame: FrameType | None) -> bool:
    innermost: list[str] = []
    while frame is not None and len(innermost) < max(map(len, _AT_REST)):
        innermost.append(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}")
        frame = frame.f_back
    return any(tuple(innermost[: len(rest)]) == rest for rest in _AT_REST)


@contextmanager
def open_reports(report: Report) -> Generator[None, None, None]:
    """Hear what Python would print for want of someone to raise it to.

    That is: unraisable exceptions, exceptions that end threads, warnings about things that were not closed
    or not awaited, and what the backends or tether log as an error. Other warnings pass.

    Args:
        report: told of each.
    """
    handler = _Handler(report)
    loggers = [logging.getLogger(name) for name in ("asyncio", "trio", "tether")]
    hooks = sys.unraisablehook, threading.excepthook
    with warnings.catch_warnings():
        warnings.simplefilter("always", ResourceWarning)
        warnings.filterwarnings("always", ".* was never awaited", RuntimeWarning)
        warnings.showwarning = _hear_warnings(report, warnings.showwarning)
        sys.unraisablehook = lambda it: report(
            f"unraisable: {it.err_msg or it.object}", it.exc_value
        )
        threading.excepthook = lambda it: report("a thread died of an exception", it.exc_value)
        for logger in loggers:
            logger.addHandler(handler)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(handler)
            sys.unraisablehook, threading.excepthook = hooks


class _Handler(logging.Handler):
    def __init__(self, report: Report) -> None:
        super().__init__(logging.ERROR)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._report(f"logged by {record.name}: {record.getMessage()}", error)


def _hear_warnings(report: Report, show: Callable[..., Any]) -> Callable[..., None]:
    def hear(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, ResourceWarning) or "was never awaited" in str(message):
            report(f"{category.__name__}: {message}", None)
        else:
            show(message, category, filename, lineno, file, line)

    return hear


@contextmanager
def watch_async_generators(report: Report) -> Generator[Callable[[], None], None, None]:
    """Notice async generators that are begun and not brought to their end.

    Args:
        report: told of each.

    Returns:
        A context manager, for use inside the event loop, that gives a function to call when all generators
        should have ended. Those that the garbage collector finds before are reported when it does.
    """
    begun: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
    first, last = sys.get_asyncgen_hooks()

    def begin(generator: AsyncGenerator[Any, Any]) -> None:
        begun.add(generator)
        if first is not None:
            first(generator)

    def end(generator: AsyncGenerator[Any, Any]) -> None:
        report(f"async generator {_name(generator)} was dropped before its end", None)
        if last is not None:
            last(generator)

    def check() -> None:
        for generator in _unfinished(begun):
            report(f"async generator {_name(generator)} was not brought to its end", None)

    sys.set_asyncgen_hooks(begin, end)
    try:
        yield check
    finally:
        sys.set_asyncgen_hooks(first, last)


def _unfinished(
    generators: Collection[AsyncGenerator[Any, Any]],
) -> list[AsyncGenerator[Any, Any]]:
    return [generator for generator in generators if _frame(generator) is not None]


def _name(generator: AsyncGenerator[Any, Any]) -> str:
    frame = _frame(generator)
    where = "" if frame is None else f" (suspended at {frame.f_code.co_filename}:{frame.f_lineno})"
    return f"{getattr(generator, '__qualname__', generator)}{where}"


def _frame(generator: AsyncGenerator[Any, Any]) -> FrameType | None:
    """Where a generator stands; None at its end."""
    return getattr(generator, "ag_frame", None)
