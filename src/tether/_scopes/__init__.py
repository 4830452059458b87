"""Structured concurrency on anyio: task groups that raise plain exceptions, worker threads, calls into other loops."""
