"""Conversations as documents."""

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
