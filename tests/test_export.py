"""Conversations as documents."""

import re
from html.parser import HTMLParser

from tether import (
    AssistantMessage,
    CustomMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.export import as_html, as_markdown
from tether.messages import ProviderItem

TALK: tuple[Message, ...] = (
    UserMessage(["<script>alert(1)</script>", Image(b"png")]),
    AssistantMessage(
        [
            Thinking("hm\nwell"),
            Text("See [here](javascript:x) ![](http://spy/x.png)"),
            ToolCall("1", "read", {"path": "ä.txt"}),
            ToolCall("2", "read", malformed="{oops"),
            ProviderItem("openai", {}),
        ],
        model="m",
        stop_reason="tool_calls",
    ),
    ToolResultMessage("1", "read", "```\ninner\n```", outcome="ok"),
    ToolResultMessage("2", "read", "no", outcome="error"),
    CustomMessage("note", {"a": 1}),
    AssistantMessage("Hal", model="m", stop_reason="aborted"),
)


def test_markdown_has_everything() -> None:
    text = as_markdown(TALK)
    for part in (
        "## user",
        "## assistant (m)\n",
        "> hm\n> well",
        'Calls `read`:\n\n```json\n{"path": "ä.txt"}\n```',
        "{oops",
        "````\n```\ninner\n```\n````",
        "## tool read (error)",
        "## note",
        '"a": 1',
        "## assistant (m; aborted)\n\nHal",
        "![image](data:image/png;base64,cG5n)",
    ):
        assert part in text, part


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_a_page_stands_by_itself_and_runs_nothing() -> None:
    page = as_html(TALK, "a <talk>")
    tags = Tags()
    tags.feed(page)
    assert "<title>a &lt;talk&gt;</title>" in page
    assert not [tag for tag, _ in tags.seen if tag in {"script", "link", "iframe"}]
    assert not [attrs for tag, attrs in tags.seen if (attrs.get("href") or "").startswith("java")]
    [policy] = [attrs["content"] for tag, attrs in tags.seen if "http-equiv" in attrs]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert len([tag for tag, _ in tags.seen if tag == "article"]) == len(TALK)


def test_a_page_has_a_title_a_date_and_marks_what_failed() -> None:
    page = as_html(
        [
            UserMessage("cut", timestamp=86_400.0),
            ToolResultMessage("c1", "cut", [Text("no")], outcome="denied"),
            AssistantMessage([Text("half")], stop_reason="aborted"),
            AssistantMessage([Text("whole")], stop_reason="stop"),
        ],
        "A <rope>",
    )
    assert "<h1>A &lt;rope&gt;</h1>" in page
    assert "1970-01-02 00:00 UTC" in page
    assert re.findall(r'<article class="([^"]*)"', page) == [
        "user",
        "tool failed",
        "assistant failed",
        "assistant",
    ]
