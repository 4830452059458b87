"""What `import tether` gives, and what it costs."""

import importlib
import inspect
import subprocess
import sys

import pytest

import tether


def test_the_root_exports_what_it_imports_and_nothing_else() -> None:
    public = {name for name in vars(tether) if not name.startswith("_")}
    modules = {name for name, value in vars(tether).items() if type(value).__name__ == "module"}
    assert set(tether.__all__) == public - modules
    assert list(tether.__all__) == sorted(tether.__all__)


def test_importing_tether_does_not_import_what_a_program_may_never_use() -> None:
    program = "import sys, tether, tether.advice; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {
        "httpx",
        "cattrs",
        "stamina",
        "jsonschema",
        "docstring_parser",
        "pydantic",
        "rich",
        "trio",
        "asyncio",
        "opentelemetry",
        "prometheus_client",
    }
    assert set(done.stdout.split()) & heavy == set()


def test_every_public_class_and_function_is_documented() -> None:
    public = {name: getattr(tether, name) for name in tether.__all__}
    plain = {n: v for n, v in public.items() if inspect.isclass(v) or inspect.isfunction(v)}
    assert [name for name, value in plain.items() if not value.__doc__] == []
    assert len(plain) > 50


@pytest.mark.parametrize("package", ["toolbox", "advice", "testing", "cli"])
def test_packages_export_what_people_use_of_them(package: str) -> None:
    module = importlib.import_module(f"tether.{package}")
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        exported = getattr(module, name)
        assert not inspect.ismodule(exported)
        assert exported.__doc__ or not inspect.isroutine(exported)
