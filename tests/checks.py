"""Every check but the tests, the quickest first.

    python -m tests.checks              all of them, a few minutes
    python -m tests.checks --quick      those that take seconds: for every commit
    python -m tests.checks mypy wheel   those that are named

Run it with the Python of the development environment, from the top of the repository.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[1]
NOT_OURS = "ASYNC900,ASYNC910,ASYNC911,ASYNC912,ASYNC913,ASYNC118,ASYNC124,ASYNC127"
"""9xx: that every function passes a checkpoint is trio's rule; ours is that every loop does. 118, 124: matters of
taste. 127: httpx stands behind one module, until its successor has settled."""


class CheckError(Exception):
    """A check found something; the text says what."""


@frozen
class Check:
    """A check by its name."""

    name: str
    run: Callable[[], None]
    quick: bool = False


HERE = Path(sys.executable).parent
"""Where the commands of the development environment are."""


def command(*words: str | Path, folder: Path = ROOT, python: Path = Path(sys.executable)) -> str:
    """Run a command, and return its output.

    Args:
        words: the command, by its path or by its name in the development environment, and its arguments.
        folder: where it runs.
        python: the Python that it finds.
    """
    path = os.pathsep.join([str(python.parent), str(HERE), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CheckError(done.stdout)
    return done.stdout


def lint() -> None:
    """Rules of style, and some of correctness."""
    command("ruff", "check")


def layout() -> None:
    """How code is laid out."""
    command("ruff", "format", "--check")


def dead_code() -> None:
    """What nothing uses. Names that others use are listed with reasons in pyproject.toml."""
    try:
        command("vulture")
    except CheckError as found:
        dead = [line for line in str(found).splitlines() if not line.startswith(("tests", "bench"))]
        if dead:
            raise CheckError("\n".join(dead)) from None


def types() -> None:
    """Types in source and tests."""
    command("mypy")


def strict_types() -> None:
    """Types in the source, read by a second checker."""
    command("pyright")


def reference() -> None:
    """The reference of the public face renders without a warning."""
    command(sys.executable, "-m", "pytest", "-q", "tests/test_reference.py")


def structured_concurrency() -> None:
    """Rules of structured concurrency in the source."""
    files = sorted(map(str, (ROOT / "src").rglob("*.py")))
    workers = os.cpu_count() or 1

    def check(some: Sequence[str]) -> None:
        command("flake8-async", "--anyio", f"--disable={NOT_OURS}", *some)

    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(check, [files[first::workers] for first in range(workers)]))


def wheel() -> None:
    """The wheel is whole, typed throughout, and runs without what only development needs."""
    with tempfile.TemporaryDirectory() as folder:
        built = _built(Path(folder))
        _check_files(built)
        venv.create(Path(folder) / "venv", with_pip=True)
        python = Path(folder) / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        command(python, "-m", "pip", "install", "-q", built, folder=Path(folder))
        _check_without_extras(python)
        command(python, "-m", "pip", "install", "-q", f"{built}[cli,trio]", folder=Path(folder))
        command(python, "-m", "tether.cli", "--no-init", "--backend", "trio", "list .")
        command(python, "-m", "tether.cli", "help")
        # The types of guests are those of the packages that they are for.
        extras = ",".join(sorted(_extras() - {"bench", "dev", "embedding"}))
        command(python, "-m", "pip", "install", "-q", f"{built}[{extras}]", folder=Path(folder))
        _check_completeness(python, Path(folder))


def _check_without_extras(python: Path) -> None:
    """The command says what to install, and does nothing else."""
    try:
        command(python, "-m", "tether", "--no-init", "list .")
    except CheckError as found:
        if "pip install 'tether[cli]'" in str(found) and "Traceback" not in str(found):
            return
        raise
    raise CheckError("the command runs without its extra")


def _extras() -> set[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return set(tomllib.load(file)["project"]["optional-dependencies"])


def _built(folder: Path) -> Path:
    command(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT)
    [built] = folder.glob("tether-*.whl")
    return built


def _check_files(built: Path) -> None:
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for pattern in ("*.py", "py.typed", "README.md")
        for path in source.rglob(pattern)
    }
    with zipfile.ZipFile(built) as archive:
        missing = sorted(wanted - set(archive.namelist()))
    if missing:
        raise CheckError(f"the wheel lacks {', '.join(missing)}")


def _check_completeness(python: Path, folder: Path) -> None:
    """Every public name has a known type, for those who install the package."""
    options = ("--verifytypes", "tether", "--ignoreexternal", "--outputjson")
    try:
        output = command(HERE / "pyright", *options, folder=folder, python=python)
    except CheckError as found:
        output = str(found)
    report = json.loads(output[output.index("{") :])["typeCompleteness"]
    unknown = [
        f"{symbol['name']}: {', '.join(found['message'] for found in symbol['diagnostics'])}"
        for symbol in report["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
    ]
    if report["completenessScore"] < 1 or unknown:
        score = f"{report['completenessScore']:.1%} of the public names are typed"
        raise CheckError("\n".join([score, *unknown]))


CHECKS = (
    Check("lint", lint, quick=True),
    Check("layout", layout, quick=True),
    Check("dead-code", dead_code, quick=True),
    Check("mypy", types),
    Check("reference", reference),
    Check("pyright", strict_types),
    Check("wheel", wheel),
    Check("flake8-async", structured_concurrency),
)


def main() -> int:
    """Run the checks; one that fails does not keep the others from running.

    Returns:
        The exit code: 0 if nothing was found, else 1.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only those that take seconds")
    parser.add_argument("names", nargs="*", metavar="CHECK", help="only those of these names")
    arguments = parser.parse_args()
    known = [check.name for check in CHECKS]
    if unknown := [name for name in arguments.names if name not in known]:
        parser.error(f"there is no check {unknown[0]!r}; there are: {', '.join(known)}")
    chosen = [
        check
        for check in CHECKS
        if check.name in (arguments.names or [check.name]) and (check.quick or not arguments.quick)
    ]
    passed = [_passes(check) for check in chosen]
    return 0 if all(passed) else 1


def _passes(check: Check) -> bool:
    start = time.monotonic()
    found = ""
    try:
        check.run()
    except CheckError as error:
        found = f"{error}\n"
    mark = "failed" if found else "ok"
    about = " ".join((check.run.__doc__ or "").split())
    print(f"{mark:7}{check.name:13} {time.monotonic() - start:6.1f} s  {about}", flush=True)
    print(found, end="", flush=True)
    return not found


if __name__ == "__main__":
    sys.exit(main())
