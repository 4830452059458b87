"""Install the SDK, where it is not installed yet."""

import os
import shutil
import subprocess
import sys

from tests.mcp.node import HERE, folder, why_missing


def main() -> int:
    if why_missing() is None:
        return 0
    npm = shutil.which("npm")
    if npm is None:
        print("there is no npm: tests of its client will be skipped", file=sys.stderr)
        return 0
    made = folder().with_name(f"{folder().name}.{os.getpid()}")
    made.mkdir(parents=True)
    shutil.copy(HERE / "package.json", made)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    if subprocess.run(command, cwd=made, check=False).returncode:
        print("npm cannot install: tests of its client will be skipped", file=sys.stderr)
        shutil.rmtree(made)
    else:
        made.rename(folder())
    return 0


sys.exit(main())
