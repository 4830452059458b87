"""The reference of the public face: every public name is rendered, with its docstring, and without a warning."""

import importlib
import inspect
import pkgutil
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pdoc
import pdoc.render
import pytest
from pdoc.extract import walk_specs

import tether


def _public_modules() -> Iterator[str]:
    yield "tether"
    for module in pkgutil.walk_packages(tether.__path__, "tether."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            yield module.name


MODULES = list(_public_modules())


def _pages(folder: Path) -> dict[str, str]:
    """The page of each public module, in HTML."""
    pdoc.render.configure(docformat="google", search=False, show_source=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pdoc.pdoc(*_specifications(), output_directory=folder)
    assert [str(warning.message) for warning in caught] == []
    return {name: _page(folder, name).read_text(encoding="utf-8") for name in MODULES}


def _specifications() -> list[str]:
    """The modules, without those that pdoc finds in a package by itself."""
    asked: list[str] = []
    covered: set[str] = set()
    for name in MODULES:
        if name not in covered:
            asked.append(name)
            covered |= set(walk_specs([name]))
    return asked


def _page(folder: Path, module: str) -> Path:
    return folder / f"{module.replace('.', '/')}.html"


def test_every_public_name_is_rendered_and_documented(tmp_path: Path) -> None:
    """In one test: it takes long to render the pages, which refer to one another."""
    missing = {
        module: [name for name in _names(module) if f'id="{name}"' not in page]
        for module, page in _pages(tmp_path).items()
    }
    assert {module: names for module, names in missing.items() if names} == {}


def test_examples_in_docstrings_stay_examples() -> None:
    """A heading at the margin, such as `Args:`, ends an example and becomes a section of the page."""
    for name in MODULES:
        text = inspect.getdoc(importlib.import_module(name)) or ""
        assert not re.search(r"^(Args|Returns|Raises|Attributes):$", text, re.MULTILINE), name


@pytest.mark.parametrize("module", MODULES)
def test_every_public_class_and_function_is_documented(module: str) -> None:
    there = importlib.import_module(module)
    public = {name: getattr(there, name) for name in getattr(there, "__all__", ())}
    defined = [n for n, v in public.items() if inspect.isclass(v) or inspect.isroutine(v)]
    assert [name for name in defined if not public[name].__doc__] == []


def _names(module: str) -> Iterator[str]:
    """What is public, and the members of classes, which the page has under `Class.member`."""
    public: tuple[str, ...] = getattr(importlib.import_module(module), "__all__", ())
    for name in public:
        yield name
        value: Any = getattr(importlib.import_module(module), name)
        if inspect.isclass(value) and value.__module__.startswith("tether"):
            for member, found in vars(value).items():
                if not member.startswith("_") and inspect.isfunction(found) and found.__doc__:
                    yield f"{name}.{member}"
