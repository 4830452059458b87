"""Programs run each in a process of its own, forked from one that has imported tether already.

To start Python and import all of it takes a second, and the guides have a hundred programs.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

_SERVER: Final = """
import gc, json, os, sys, types, warnings
import anyio, httpx, tether, tether.advice, tether.blocking, tether.cli, tether.testing, tether.toolbox, tether.mcp
import anyio._backends._asyncio, anyio._backends._trio
for name in tether.__all__:
    getattr(tether, name)
gc.collect()
gc.freeze()  # a program's end would look through all of this, and have it copied

def program(task):
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number, path in enumerate((task["out"], task["err"]), start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(task["folder"])
    os.environ.clear()
    os.environ.update(task["environment"])
    warnings.simplefilter("error")
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(compile(task["code"], "<string>", "exec"), main.__dict__)

for line in sys.stdin:
    child = os.fork()
    if not child:
        program(json.loads(line))
        break  # the interpreter ends as it would for a script
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@frozen
class Outcome:
    """What a program has printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


@frozen
class Programs:
    """The process that programs are forked from."""

    _server: subprocess.Popen[str]

    def run(self, code: str, folder: Path, environment: Mapping[str, str]) -> Outcome:
        """Run a program to its end in a folder, with warnings as errors and nothing to read."""
        out, err = folder / "printed", folder / "printed-errors"
        task = {"code": code, "environment": dict(environment), "out": str(out), "err": str(err)}
        task["folder"] = str(folder)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(task), file=self._server.stdin, flush=True)
        returncode = int(self._server.stdout.readline())
        return Outcome(returncode, out.read_text(), err.read_text())


@contextmanager
def forking(folder: Path) -> Iterator[Programs]:
    """Start the process that programs are forked from, and end it."""
    command = [sys.executable, "-W", "error", "-c", _SERVER]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            yield Programs(server)
        finally:
            assert server.stdin is not None
            server.stdin.close()
