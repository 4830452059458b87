"""What to install where a module of an extra is missing."""

from typing import Final

__all__ = ()

_EXTRA_OF: Final = {
    "click": "cli",
    "markdown_it": "cli",
    "platformdirs": "cli",
    "prompt_toolkit": "cli",
    "rich": "cli",
    "wcwidth": "cli",
    "_yaml": "cli",
    "yaml": "cli",
    "hypercorn": "cli,web",
    "starlette": "cli,web",
    "trio": "trio",
}
"""What a command needs, by the module that was not found. `tether.mcp` and `tether.metrics` say it themselves."""


def what_to_install(error: BaseException) -> str | None:
    """Say what to install, in a sentence for a person; None if the error is of another kind."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    if "pip install" in str(error):
        return str(error)
    module = (error.name or "").partition(".")[0]
    extra = _EXTRA_OF.get(module)
    return extra and f"{module} is not installed: pip install 'tether[{extra}]'"
