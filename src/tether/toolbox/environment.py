"""The environment of commands: without the keys and secrets that the program itself was given."""

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from tether.models.catalogue import provider_keys

__all__ = ("command_environment",)

_SECRET_NAME: Final = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|COOKIE)S?(_|$)"
    r"|(^|_)(PASS|PWD|PAT|AUTH|JWT)$"
    r"|^DOCKER_AUTH_CONFIG$",
    re.IGNORECASE,
)
_SECRET_VALUE: Final = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|^(sk-|ghp_|gho_|github_pat_|glpat-|xox[abp]-|hf_|AKIA|AIza|gsk_|npm_|pypi-|eyJ)\S{8}"
)
_PLAIN: Final = ("PWD", "*_PROXY", "*_proxy")
"""The working folder; and the addresses of proxies, without which commands reach no network."""


def command_environment(
    keep_env: Iterable[str] = (), environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Make the environment that commands get.

    It lacks the variables that hold the keys of model providers, and those that look like secrets. Of a name, a word
    at its end or before `_` says so: KEY, TOKEN, SECRET, PASSWORD, PASSWD, PASSPHRASE, CREDENTIAL or COOKIE, with or
    without an S; at its end also PASS, PWD, PAT, AUTH or JWT. Of a value: a URL with a password in it, a private key,
    or the beginning of a well-known kind of token. PWD and the addresses of proxies are handed on.

    Args:
        keep_env: names that are handed on all the same, or patterns such as `AWS_*`.
        environ: the environment to start from; the program's own if None.

    Returns:
        The variables.
    """
    kept = (*keep_env, *_PLAIN)
    keys = {key for names in provider_keys().values() for key in names}
    return {
        name: value
        for name, value in (os.environ if environ is None else environ).items()
        if any(fnmatchcase(name, pattern) for pattern in kept)
        or not (name in keys or _SECRET_NAME.search(name) or _SECRET_VALUE.search(value))
    }
