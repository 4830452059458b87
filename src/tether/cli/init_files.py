"""Running an init file: what it may import, and what it must not do to `app`."""

import hashlib
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

__all__ = ()


def digest(path: Path) -> str:
    """Digest a file; of an init file, with the Python files beside it and below, which it may import."""
    own = path.read_bytes()
    others = [*_neighbours(path)] if path.name == "init.py" else []
    made = hashlib.sha256(own)
    for other in others:
        made.update(f"\0{other.relative_to(path.parent)}\0".encode() + other.read_bytes())
    return made.hexdigest()


def _neighbours(init: Path) -> Iterator[Path]:
    for other in sorted(init.parent.rglob("*.py")):
        if other != init and other.is_file():
            yield other


def run_init_file(
    init: Path, app: object, tell: Callable[[str], None], before: Path
) -> Callable[[], object]:
    """Run an init file with `app` defined. It may import what is beside it; installed packages come first.

    Args:
        init: the file.
        app: what it extends.
        tell: is told where the file gives the name `app` to something else.
        before: a folder whose modules come after those beside this file.

    Returns:
        A function that takes its folder from the places to import from again.

    Raises:
        Exception: what the file raises.
        SystemExit: it does.
    """
    folder = str(init.parent.resolve())
    _forget_modules(init)
    other = str(before.resolve())
    sys.path.insert(sys.path.index(other) if other in sys.path else len(sys.path), folder)
    try:
        left = runpy.run_path(str(init), init_globals={"app": app}, run_name="tether_init")
    except BaseException:
        sys.path.remove(folder)
        raise
    if left.get("app") is not app:
        tell(
            f"{init} gives the name `app` to something else, and what it adds to that does not reach the command: "
            "take the line out; `app` is defined before the file runs"
        )
    return lambda: sys.path.remove(folder) if folder in sys.path else None


def _forget_modules(init: Path) -> None:
    """Forget modules of the same names as those beside an init file: another folder's, or from before a change."""
    names = {path.stem for path in init.parent.glob("*.py")}
    names |= {path.parent.name for path in init.parent.glob("*/__init__.py")}
    for path in _neighbours(init):
        # Bytecode counts as that of a file of the same size and second, so that a quick change would not be seen.
        with suppress(OSError, NotImplementedError):
            Path(cache_from_source(path)).unlink(missing_ok=True)
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        top = name.partition(".")[0]
        if top in names and file is not None and _is_beside_an_init_file(Path(file), name):
            del sys.modules[name]


def _is_beside_an_init_file(file: Path, name: str) -> bool:
    above = file.parents[name.count(".") + (file.name == "__init__.py")]
    return (above / "init.py").is_file()
