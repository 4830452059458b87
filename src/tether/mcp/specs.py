"""What servers there are: how each is reached. Data alone, but for the file that `from_json` reads."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from attrs import Attribute, field, frozen

from tether.errors import UsageError

__all__ = (
    "Http",
    "InProcess",
    "ServerSpec",
    "Stdio",
    "flattened",
    "from_json",
    "http",
    "in_process",
    "spec_from",
    "stdio",
)

_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,40}")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _seconds(_: Any, attribute: "Attribute[Any]", value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None and attribute.name == "call_timeout":
        return
    if not number or not value > 0:  # type: ignore[operator]  # it is a number here
        raise UsageError(f"{attribute.name} must be more than 0 seconds, not {value!r}")


def _name(_: Any, __: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise UsageError(
            f"{value!r} cannot be the name of a server: use 1 to 40 letters, digits, and . _ -"
        )


@frozen
class _Server:
    """What all have in common."""

    name: str = field(validator=_name)
    """What people call it; the names of its tools begin with it."""
    open_timeout: float = field(default=30.0, kw_only=True, validator=_seconds)
    """Seconds until it must have answered, each time it is opened."""
    call_timeout: float | None = field(default=None, kw_only=True, validator=_seconds)
    """Seconds that a call may take; None leaves it to the agent."""
    legacy: bool = field(default=False, kw_only=True)
    """Speak the protocol of 2025 without asking for a later one."""


@frozen
class Stdio(_Server):
    """A program that speaks on its standard input and output."""

    command: str = field(default="", kw_only=True)
    args: tuple[str, ...] = field(default=(), kw_only=True)
    env: Mapping[str, str] = field(factory=dict, kw_only=True, repr=False)
    """Variables that it gets beside the environment without keys."""
    keep_env: tuple[str, ...] = field(default=(), kw_only=True)
    """Names and patterns of variables that it gets although they look like secrets."""
    cwd: str | None = field(default=None, kw_only=True)


@frozen
class Http(_Server):
    """A server at an address."""

    url: str = field(default="", kw_only=True)
    headers: Mapping[str, str] = field(factory=dict, kw_only=True, repr=False)
    auth: Any = field(default=None, kw_only=True, repr=False)
    """An `httpx2.Auth`, such as the SDK has for OAuth."""


@frozen
class InProcess(_Server):
    """A server of the SDK in this program."""

    server: Any = field(default=None, kw_only=True, repr=False)


ServerSpec: TypeAlias = Stdio | Http | InProcess


def stdio(
    name: str,
    command: str,
    *args: str,
    env: Mapping[str, str] | None = None,
    keep_env: Sequence[str] = (),
    cwd: str | os.PathLike[str] | None = None,
    open_timeout: float = 30.0,
    call_timeout: float | None = None,
    legacy: bool = False,
) -> Stdio:
    """Describe a server that is a program.

    Args:
        name: what to call it.
        command: the program.
        *args: its arguments.
        env: variables for it. It gets the environment of this program without keys and secrets; see
            `tether.toolbox.environment.command_environment`.
        keep_env: names or patterns, such as `AWS_*`, of variables that it gets all the same.
        cwd: the folder that it starts in.
        open_timeout: seconds until it must have answered.
        call_timeout: seconds that a call may take; None leaves it to the agent.
        legacy: speak the protocol of 2025 without asking for a later one.

    Returns:
        The description, for `connected`.

    Raises:
        UsageError: something is not what it must be.
    """
    words: tuple[Any, ...] = (command, *args)
    if not command or not all(isinstance(word, str) for word in words):
        raise UsageError(f"the command of the server {name!r} must be words, not {words!r}")
    if isinstance(keep_env, str):
        raise UsageError(f"keep_env must be a list of names, not {keep_env!r}")
    return Stdio(
        name,
        command=command,
        args=args,
        env=dict(env or {}),
        keep_env=tuple(keep_env),
        cwd=None if cwd is None else os.fspath(cwd),
        open_timeout=open_timeout,
        call_timeout=call_timeout,
        legacy=legacy,
    )


def http(
    name: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    auth: Any = None,
    open_timeout: float = 30.0,
    call_timeout: float | None = None,
    legacy: bool = False,
) -> Http:
    """Describe a server at an address (streamable HTTP).

    Args:
        name: what to call it.
        url: its address.
        headers: sent with each request, such as `Authorization`.
        auth: an `httpx2.Auth`, such as the SDK has for OAuth; see `sign_in` for signing in with a browser.
        open_timeout: seconds until it must have answered.
        call_timeout: seconds that a call may take; None leaves it to the agent.
        legacy: speak the protocol of 2025 without asking for a later one.

    Returns:
        The description, for `connected`.

    Raises:
        UsageError: something is not what it must be.
    """
    given: Any = url
    if not isinstance(given, str) or not given.startswith(("http://", "https://")):
        raise UsageError(f"the address of the server {name!r} begins with https://, not {url!r}")
    return Http(
        name,
        url=url,
        headers=dict(headers or {}),
        auth=auth,
        open_timeout=open_timeout,
        call_timeout=call_timeout,
        legacy=legacy,
    )


def in_process(
    server: Any,
    *,
    name: str | None = None,
    open_timeout: float = 30.0,
    call_timeout: float | None = None,
    legacy: bool = False,
) -> InProcess:
    """Describe a server of the SDK, an `MCPServer` or a `Server`, that runs in this program.

    Args:
        server: the server.
        name: what to call it; its own name if None.
        open_timeout: seconds until it must have answered.
        call_timeout: seconds that a call may take; None leaves it to the agent.
        legacy: speak the protocol of 2025 without asking for a later one.

    Returns:
        The description, for `connected`.

    Raises:
        UsageError: it has no name that a server can have.
    """
    own = re.sub(r"[^a-zA-Z0-9_.-]+", "-", str(getattr(server, "name", "server")))[:40]
    return InProcess(
        own if name is None else name,
        server=server,
        open_timeout=open_timeout,
        call_timeout=call_timeout,
        legacy=legacy,
    )


def from_json(
    path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None
) -> tuple[ServerSpec, ...]:
    """Read servers from a file such as `.mcp.json`.

    The file holds `{"mcpServers": {NAME: {...}}}`. A server has `command`, `args`, `env` and `cwd`, or `url` and
    `headers`; and `timeout` (seconds of a call), `disabled`. `${VARIABLE}` and `${VARIABLE:-default}` in its texts are
    taken from the environment.

    Args:
        path: the file.
        environ: the environment; that of the program if None.

    Returns:
        The servers that are not disabled, for `connected`.

    Raises:
        UsageError: the file is not what it must be; the text names the file, the server and the field.
        OSError: the file cannot be read.
    """
    written = Path(path).read_bytes()
    try:
        content = json.loads(written.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{os.fspath(path)} is no JSON: {error}") from error
    named = content.get("mcpServers", content.get("servers")) if isinstance(content, dict) else None
    if not isinstance(named, dict):
        raise UsageError(f'{os.fspath(path)} must hold {{"mcpServers": {{...}}}}')
    variables = os.environ if environ is None else environ
    specs = []
    for name, about in named.items():
        try:
            if isinstance(about, dict) and about.get("disabled") is True:
                continue
            specs.append(spec_from(name, about, variables))
        except UsageError as error:
            raise UsageError(f"{os.fspath(path)}: server {name!r}: {error}") from None
    return tuple(specs)


def spec_from(name: str, about: object, environ: Mapping[str, str]) -> ServerSpec:
    """Describe a server from its entry in a file; see `from_json`.

    Raises:
        UsageError: a field is not what it must be.
    """
    if not isinstance(about, dict):
        raise UsageError(f"it must be an object, not {about!r}")
    fields = _Fields(about, environ)
    timeout = fields.seconds("timeout")
    kind = about.get("type")
    if kind == "sse":
        raise UsageError('"sse" is the transport before streamable HTTP; give the address of that')
    if "command" in about and kind in {None, "stdio"}:
        return stdio(
            name,
            fields.text("command"),
            *fields.texts("args"),
            env=fields.named_texts("env"),
            cwd=fields.text("cwd") or None,
            call_timeout=timeout,
        )
    if "url" in about and kind in {None, "http", "streamable-http", "streamableHttp"}:
        return http(
            name, fields.text("url"), headers=fields.named_texts("headers"), call_timeout=timeout
        )
    raise UsageError('it must have a "command", or a "url" and the "type" "http"')


@frozen
class _Fields:
    """The fields of an entry, as what they must be."""

    _about: Mapping[str, Any]
    _environ: Mapping[str, str]

    def text(self, key: str) -> str:
        return self._expanded(key, self._about.get(key, ""))

    def texts(self, key: str) -> list[str]:
        given = self._about.get(key, [])
        if not isinstance(given, list):
            raise UsageError(f'"{key}" must be a list of texts, not {given!r}')
        return [self._expanded(key, one) for one in given]

    def named_texts(self, key: str) -> dict[str, str]:
        given = self._about.get(key, {})
        if not isinstance(given, dict):
            raise UsageError(f'"{key}" must be an object of texts, not {type(given).__name__}')
        return {name: self._expanded(key, one) for name, one in given.items()}

    def seconds(self, key: str) -> float | None:
        given = self._about.get(key)
        if given is not None and (isinstance(given, bool) or not isinstance(given, int | float)):
            raise UsageError(f'"{key}" must be seconds, not {given!r}')
        return given

    def _expanded(self, key: str, text: object) -> str:
        if not isinstance(text, str):
            raise UsageError(f'"{key}" must hold texts, not {text!r}')

        def value(found: "re.Match[str]") -> str:
            name, default = found.groups()
            if name in self._environ:
                return self._environ[name]
            if default is None:
                raise UsageError(f'"{key}" wants the variable {name}, which is not set')
            return default

        return _VARIABLE.sub(value, text)


def flattened(servers: Iterable[ServerSpec | Iterable[ServerSpec]]) -> tuple[ServerSpec, ...]:
    """Take servers, and lists of them.

    Raises:
        UsageError: something is no server, or two have the same name.
    """
    found: dict[str, ServerSpec] = {}
    for given in servers:
        several = given if isinstance(given, list | tuple) else (given,)
        for one in several:
            if not isinstance(one, ServerSpec):
                raise UsageError(
                    f"a server is made with mcp.stdio, mcp.http, mcp.in_process or mcp.from_json, not {one!r}"
                )
            if one.name in found:
                raise UsageError(f"two servers are called {one.name!r}; give one another name")
            found[one.name] = one
    return tuple(found.values())
