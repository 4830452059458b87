"""What a server lists becomes tools: with legal names, printable texts, and the hints of the server."""

import re
from typing import Any

from tests.mcp.good_server import PNG

from mcp import types
from tether.mcp.listing import ListedTool, legal_name, listed_tools
from tether.mcp.printable import one_line, printable
from tether.mcp.results import as_blocks, as_tool_result
from tether.mcp.wire import Wire
from tether.media import Audio, Document, Image
from tether.messages import Text


async def no_call(*_: object) -> Any:
    raise AssertionError


def listed(*tools: ListedTool) -> Any:
    return listed_tools("srv", tools, no_call, owner=None, timeout=None)


def test_names_are_legal_and_unique() -> None:
    long = "x" * 100
    names = ["a.b", "a b", "a_b", "ü", long, f"{long}y", "a.b", ""]
    tools, refused = listed(*(ListedTool(name, None, "", {}) for name in names))
    found = [tool.name for tool in tools]
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in found)
    assert len(set(found)) == len(found) == 7  # one was listed twice
    assert found[0] == "srv_a_b"
    assert not refused


def test_a_name_is_the_same_each_time() -> None:
    assert legal_name("y" * 99, ()) == legal_name("y" * 99, ())
    assert legal_name("a", ["a"]) == legal_name("a", ["a", "b"]) != "a"


def test_the_hints_of_a_server_become_ours() -> None:
    reads, unknown, adds, lies = listed(
        ListedTool("a", "Reads", "", {}, read_only=True),
        ListedTool("b", None, "", {}),
        ListedTool("c", None, "", {}, destructive=False, idempotent=True),
        ListedTool("d", None, "", {}, read_only=True, destructive=True),
    )[0]
    assert (reads.title, reads.read_only, reads.destructive, reads.kind) == (
        "Reads",
        True,
        False,
        "read",
    )
    assert (unknown.read_only, unknown.destructive, unknown.idempotent) == (False, True, False)
    assert (adds.read_only, adds.destructive, adds.idempotent) == (False, False, True)
    assert (lies.read_only, lies.destructive) == (False, True)


def test_texts_are_printable_and_bounded() -> None:
    [tool] = listed(ListedTool("a", "T\x1b[31m\u202e", "D\x00\U000e0041" + "d" * 50_000, {}))[0]
    assert tool.title == "T[31m"
    assert tool.description.startswith("Dd")
    assert len(tool.description) < 20_000
    assert "characters were cut" in tool.description
    assert printable("a\tb\n\ud800", 10) == "a\tb\n"
    assert one_line("a\n b" + "c" * 99, 5) == "a bc…"


def test_a_tool_that_cannot_be_used_is_left_out_with_the_reason() -> None:
    tools, refused = listed(ListedTool("a", None, "", False), ListedTool("b", None, "", {}))
    assert [tool.name for tool in tools] == ["srv_b"]
    assert refused == {"a": "its schema is false, which no arguments fit"}


def test_what_the_client_would_refuse_as_a_whole_is_taken_out_of_a_listing() -> None:
    """One bad item made the SDK's client refuse the listing, and with it the server."""
    wire = Wire()
    good = {"name": "good", "inputSchema": {}, "outputSchema": 3, "annotations": "yes", "icons": 3}
    bad: list[Any] = [
        None,
        {},
        {"name": 3},
        {"name": "bad", "inputSchema": False},
        {"name": "n" * 999},
    ]
    names = sane(
        wire, "tools", [good, *bad, {"name": "other", "inputSchema": {"properties": {"a": 3}}}]
    )
    assert [tool["name"] for tool in names] == ["good", "n" * 999]
    assert wire.refused.keys() == {"(without a name)", "bad", "other"}
    assert sane(wire, "prompts", [{"name": "p"}, {"title": "no name"}]) == [{"name": "p"}]
    assert sane(wire, "resources", [{"name": "r", "uri": 3}]) == []


def sane(wire: Wire, key: str, items: list[Any]) -> Any:
    from mcp.shared.message import SessionMessage

    response = types.JSONRPCResponse(jsonrpc="2.0", id=1, result={key: items})
    wire.sane(SessionMessage(response))
    return response.result[key]


def test_content_becomes_blocks() -> None:
    import base64

    data = base64.b64encode(PNG).decode()
    pdf = base64.b64encode(b"%PDF-1.4 x").decode()
    wav = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt ").decode()
    blob = types.BlobResourceContents(uri="file:///a.pdf", mime_type="application/pdf", blob=pdf)
    text = types.TextResourceContents(uri="note://a", text="hi\x1b")
    blocks = as_blocks(
        [
            types.TextContent(type="text", text="a\x00b"),
            types.ImageContent(type="image", data=data, mime_type="image/png"),
            types.ImageContent(type="image", data="no base64!", mime_type="image/png"),
            types.AudioContent(type="audio", data=wav, mime_type="audio/wav"),
            types.ResourceLink(type="resource_link", name="l", uri="file:///x", description="d"),
            types.EmbeddedResource(type="resource", resource=text),
            types.EmbeddedResource(type="resource", resource=blob),
            object(),
        ]
    )
    kinds = [type(block) for block in blocks]
    assert kinds == [Text, Image, Text, Audio, Text, Text, Text, Document, Text]
    texts = [block.text for block in blocks if isinstance(block, Text)]
    assert texts[0] == "ab"
    assert "cannot be used" in texts[1]
    assert texts[2] == "[l](file:///x) d"
    assert texts[3] == "note://a:\nhi"


def test_results_are_bounded_as_a_whole() -> None:
    many = [types.TextContent(type="text", text="x" * 150_000) for _ in range(300)]
    blocks = as_blocks(many)
    assert sum(len(block.text) for block in blocks if isinstance(block, Text)) < 230_000


def test_what_is_structured_is_in_the_details_and_a_text_where_there_is_none() -> None:
    result = as_tool_result(
        types.CallToolResult(content=[], structured_content={"a": 1}, is_error=True)
    )
    assert (result.details, result.outcome) == ({"a": 1}, "error")
    assert result.content == (Text('{"a": 1}'),)
