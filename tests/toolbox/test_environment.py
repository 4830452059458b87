"""Commands do not get the keys and secrets that the program was given."""

from pathlib import Path

import pytest
from tests.toolbox.commands import run, shell, text

from tether.models.catalogue import provider_keys
from tether.toolbox import coding_tools
from tether.toolbox.environment import command_environment

SECRET = {
    **{key: "x" for keys in provider_keys().values() for key in keys},
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SESSION_TOKEN": "x",
    "GITHUB_TOKEN": "x",
    "PGPASSWORD": "x",
    "MYSQL_PWD": "x",
    "DB_PASS": "x",
    "SECRETS": "x",
    "azure_client_secret": "x",
    "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/key.json",
    "npm_config__authToken": "x",
    "AZURE_DEVOPS_EXT_PAT": "x",
    "DOCKER_AUTH_CONFIG": "{}",
    "DATABASE_URL": "postgres://me:hunter2@db/app",
    "REDIS_URL": "redis://:hunter2@cache",
    "DEPLOY": "-----BEGIN OPENSSH PRIVATE KEY-----\nabc",
    "VENDOR": "sk-proj-0123456789",
    "CI_JOB": "ghp_0123456789abcdef",
}
PLAIN = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "PWD": "/work",
    "OLDPWD": "/",
    "LANG": "C.UTF-8",
    "SSH_AUTH_SOCK": "/run/agent",
    "SSH_ASKPASS": "/bin/ask",
    "XAUTHORITY": "/home/me/.Xauthority",
    "TOKENIZERS_PARALLELISM": "false",
    "KEYBOARD": "us",
    "COMPASS": "north",
    "HTTPS_PROXY": "http://me:word@proxy:8080",
    "https_proxy": "http://me:word@proxy:8080",
    "SENTRY_DSN": "https://public@sentry.example",
    "TIME": "12:30:00",
    "EMPTY": "",
}


def test_keys_and_what_looks_like_a_secret_is_left_out() -> None:
    kept = command_environment(environ={**SECRET, **PLAIN})
    assert sorted(kept.keys() & SECRET.keys()) == []
    assert {name: kept.get(name) for name in PLAIN} == PLAIN


def test_what_is_named_is_handed_on() -> None:
    assert command_environment(["GITHUB_TOKEN"], {"GITHUB_TOKEN": "x", "HF_TOKEN": "x"}) == {
        "GITHUB_TOKEN": "x"
    }
    assert command_environment(["AWS_*"], SECRET).keys() == {n for n in SECRET if "AWS_" in n}
    assert command_environment(["*"], SECRET) == SECRET


async def test_commands_see_no_keys_unless_they_are_allowed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do they in the environment of what watches them."""
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    monkeypatch.setenv("PLAIN", "seen")
    look = "echo $PLAIN; env; tr '\\0' '\\n' </proc/$PPID/environ"
    said = text(await run(tmp_path, look))
    assert said.startswith("seen\n")
    assert "hunter2" not in said
    assert "TETHER_COMMAND" not in text(await run(tmp_path, "env"))
    allowed = shell(tmp_path, keep_env=["OPENAI_API_KEY"])
    assert text(await run(tmp_path, "echo $OPENAI_API_KEY", tool=allowed)) == "hunter2\n"


def test_a_name_that_is_no_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"keep_env is a list of names, such as \['HF_TOKEN'\]"):
        coding_tools(tmp_path, keep_env="HF_TOKEN")
