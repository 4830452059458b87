"""How the files of the page are served, and that nothing of it lies elsewhere."""

import re

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.web import vendored

from tether.web.checks import HEADERS
from tether.web.page import routes

CONTENT_POLICY = HEADERS["content-security-policy"]
STATIC = vendored.FOLDER.parent
APP = Starlette(routes=[*routes(), Mount("/below", routes=routes())])


async def _get(path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=APP)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
        return await client.get(path, headers=named)


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/static/app.js", "text/javascript; charset=utf-8"),
        ("/static/vendor/purify.es.mjs", "text/javascript; charset=utf-8"),
        ("/static/page.css", "text/css; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
        ("/static/vendor/marked.LICENSE", "text/plain; charset=utf-8"),
        ("/below/", "text/html; charset=utf-8"),
        ("/below/static/app.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_each_file_has_its_type_and_the_policy(path: str, media_type: str) -> None:
    response = await _get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert response.headers["content-security-policy"] == CONTENT_POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert len(response.content) == int(response.headers["content-length"]) > 0


@pytest.mark.parametrize("shape", ["{}", "W/{}", '"other", {}'])
async def test_what_a_browser_has_is_not_sent_again(shape: str) -> None:
    tag = (await _get("/static/app.js")).headers["etag"]
    again = await _get("/static/app.js", if_none_match=shape.format(tag))
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == CONTENT_POLICY
    assert (await _get("/static/app.js", if_none_match='"another"')).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/none.js",
        "/static/",
        "/static/vendor",
        "/static/../index.html",
        "/static/%2e%2e/files.py",
        "/static/%2e%2e%2ffiles.py",
        "/static//etc/passwd",
    ],
)
async def test_there_is_nothing_else(path: str) -> None:
    response = await _get(path)
    assert response.status_code == 404
    assert "import" not in response.text


def test_what_others_wrote_is_what_its_list_says() -> None:
    assert list(vendored.faults()) == []


def test_each_package_has_its_licence_beside_it() -> None:
    for package in vendored.packages():
        [licence] = [file["name"] for file in package["files"] if file["name"].endswith(".LICENSE")]
        assert "licen" in (vendored.FOLDER / licence).read_text().lower()
        assert package["license"] in {"MIT", "Apache-2.0", "BSD-3-Clause"}


def test_the_page_names_no_other_host() -> None:
    """Nothing is fetched from elsewhere; the namespace of SVG is a name and no address."""
    own = [STATIC.parent / "index.html", *STATIC.glob("*.*")]
    named = {address for path in own for address in re.findall(r"\w+://[\w.]+", path.read_text())}
    assert named == {"http://www.w3.org"}


def test_each_module_that_is_imported_is_there_and_loaded_early() -> None:
    """Else a browser learns of a module only once it has read the one that imports it."""
    needed = {"app.js"}
    waiting = ["app.js"]
    while waiting:
        for name in re.findall(
            r'(?:from|import\() ?"\./([^"]+)"', (STATIC / waiting.pop()).read_text()
        ):
            assert (STATIC / name).is_file(), name
            if name not in needed:
                needed.add(name)
                waiting.append(name)
    page = (STATIC.parent / "index.html").read_text()
    early = re.findall(r'rel="modulepreload" href="static/([^"]+)"', page)
    assert sorted(early) == sorted(needed - {"app.js", "vendor/highlight.min.js"})
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (STATIC.parent / name).is_file(), name


async def test_what_the_page_names_is_kept_by_browsers_and_the_rest_is_asked_about() -> None:
    page = await _get("/")
    assert page.headers["cache-control"] == "no-cache"
    named = re.findall(r'="(static/[^"]+)"', page.text)
    assert len(named) > 20
    for path in named:
        response = await _get(f"/{path}")
        assert response.status_code == 200, path
        assert "immutable" in response.headers["cache-control"]
    assert (await _get("/static/app.js")).headers["cache-control"] == "no-cache"
    assert (await _get("/static/0123456789ab/app.js")).status_code == 404
