"""The code of others that the page brings along: fetch it from the npm registry, and check that it is what it was.

    python -m tests.web.vendored           compare what is there with what its list says
    python -m tests.web.vendored --fetch   fetch the versions of the list, compare them, and put them there

A new version: change it in the list, delete its hashes there, fetch, and write down the hashes that are printed.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ("FOLDER", "faults", "packages")

FOLDER = Path(__file__).parents[2] / "src/tether/web/page/static/vendor"


def packages() -> list[Mapping[str, Any]]:
    """Read the list: packages with their versions, licences, files and hashes."""
    found: list[Mapping[str, Any]] = json.loads((FOLDER / "vendored.json").read_text())["packages"]
    return found


def faults() -> Iterator[str]:
    """Compare the folder with the list: what is not there, is other than it was, or is not in the list."""
    listed = {"vendored.json"}
    for package in packages():
        for file in package["files"]:
            listed.add(file["name"])
            path = FOLDER / file["name"]
            if not path.exists():
                yield f"{file['name']} is missing"
            elif _hash(path.read_bytes()) != file["sha256"]:
                yield f"{file['name']} is not what {package['package']} {package['version']} has"
    yield from (f"{p.name} is in no list" for p in FOLDER.iterdir() if p.name not in listed)


def fetch() -> None:
    """Fetch all with the npm client, and put in place what has the hash of the list."""
    for package in packages():
        with tempfile.TemporaryDirectory() as folder:
            name = f"{package['package']}@{package['version']}"
            subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True)
            [archive] = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as members:
                for file in package["files"]:
                    _put(file, members, name)


def _put(file: Mapping[str, Any], members: tarfile.TarFile, package: str) -> None:
    member = members.extractfile(f"package/{file['from']}")
    assert member is not None, f"{file['from']} is not a file of {package}"
    content = member.read()
    found = _hash(content)
    if found != file.get("sha256", found):
        raise SystemExit(f"{file['from']} of {package} has the hash {found}, not {file['sha256']}")
    (FOLDER / file["name"]).write_bytes(content)
    print(found, file["name"])


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> int:
    """Run the script; the exit code is 1 if something is not as the list says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fetch", action="store_true", help="fetch the files first")
    if parser.parse_args().fetch:
        fetch()
    found = list(faults())
    print("\n".join(found) or "all is as the list says")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
