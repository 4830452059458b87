"""Templates: prompts in files, with variables, and the system prompt and the model that they are for.

    ---
    description: Review a change
    model: openai:gpt-5
    system: You review code for $language.
    defaults: {language: Python}
    ---
    Review this change, and name bugs first:

    $input

`$input` is the request, with what is piped in; other variables are given by `-p NAME VALUE`, or have a default. A file
of YAML, as `llm` writes it, has the prompt under `prompt`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template as Variables
from typing import Any, Final

from attrs import frozen

from tether import UsageError
from tether.cli.context.front_matter import in_a_line, read_document, read_text
from tether.cli.extensions import configuration_folder

__all__ = ()

INPUT: Final = "input"
"""The variable that stands for the request."""
_ENDINGS: Final = (".md", ".yaml", ".yml")


@frozen(kw_only=True)
class Template:
    """A prompt with variables."""

    name: str
    prompt: str
    system: str
    description: str
    model: str | None
    schema: Any
    """A JSON Schema, or its short form, for the result; None for a reply in words."""
    fragments: Sequence[str]
    defaults: Mapping[str, str]

    def filled(self, request: str, given: Mapping[str, str]) -> tuple[str, str]:
        """Put values in the place of the variables.

        Args:
            request: what a person said.
            given: values by the names of the variables.

        Returns:
            The prompt, and the system prompt.

        Raises:
            UsageError: a variable has no value, or a value no variable.
        """
        values = {**self.defaults, **given} | ({INPUT: request} if request else {})
        prompt, system = Variables(self.prompt), Variables(self.system)
        wanted = {*prompt.get_identifiers(), *system.get_identifiers()}
        if missing := sorted(wanted - values.keys()):
            raise UsageError(f"the template {self.name} needs {' and '.join(map(_how, missing))}")
        if unknown := sorted(given.keys() - wanted):
            raise UsageError(f"the template {self.name} has no variable ${unknown[0]}")
        text = prompt.safe_substitute(values)
        if request and INPUT not in wanted:
            text = f"{text}\n\n{request}"
        return text, system.safe_substitute(values)


def _how(variable: str) -> str:
    return "a request" if variable == INPUT else f"`-p {variable} VALUE`"


def folder_of_templates() -> Path:
    """Return where a person's templates are."""
    return configuration_folder() / "templates"


def template_files() -> Mapping[str, Path]:
    """Find a person's templates, by their names."""
    folder = folder_of_templates()
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {file.stem: file for file in found if file.suffix in _ENDINGS}


def find_template(name: str) -> Template:
    """Read a template.

    Args:
        name: its name, or the path of a file.

    Raises:
        UsageError: there is none, or it is not what it must be.
    """
    files = template_files()
    path = files.get(name)
    if path is None and ("/" in name or name.endswith(_ENDINGS)):
        path = Path(name).expanduser()
    if path is None:
        known = f"there are: {', '.join(files)}" if files else f"{folder_of_templates()} has none"
        raise UsageError(f"no template is called {name!r}; {known}")
    try:
        return _read(path, name)
    except OSError as error:
        raise UsageError(f"the template {name}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"the template {path}: {error}") from error


def _read(path: Path, name: str) -> Template:
    if path.suffix in {".yaml", ".yml"}:
        head, body = _yaml(path)
    else:
        document = read_document(path)
        head, body = dict(document.head), document.body
    defaults = head.get("defaults") or {}
    if not isinstance(defaults, dict):
        raise ValueError("`defaults` must be values by the names of variables")
    return Template(
        name=name,
        prompt=body or f"${INPUT}",
        system=_text(head, "system"),
        description=_text(head, "description"),
        model=_text(head, "model") or None,
        schema=head.get("schema_object") or head.get("schema"),
        fragments=[str(one) for one in head.get("fragments") or ()],
        defaults={str(key): str(value) for key, value in defaults.items()},
    )


def _yaml(path: Path) -> tuple[dict[str, Any], str]:
    import yaml  # noqa: PLC0415 - only for such a file

    text = read_text(path)
    try:
        head = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"it is no YAML: {in_a_line(error)}") from error
    if isinstance(head, str):
        return {}, head
    if not isinstance(head, dict):
        raise ValueError("it must hold `prompt`, `system` or both")
    return head, _text(head, "prompt")


def _text(head: Mapping[str, Any], key: str) -> str:
    value = head.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{key}` must be a text")
    return value or ""
