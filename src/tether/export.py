"""A conversation as a document: Markdown, or one self-contained page of HTML."""

import base64
import html
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, assert_never

from tether import (
    AssistantMessage,
    Audio,
    CustomMessage,
    Document,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserMessage,
    Video,
)
from tether.messages import Block, ProviderItem

__all__ = ()

_STYLE: Final = """\
:root { color-scheme: light dark; }
body { max-width: 48rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
article { margin: 1.5rem 0; padding-left: 1rem; border-left: 3px solid #8888; }
article.user { border-color: #47c; } article.tool { border-color: #7a4; }
article.failed { border-color: #c43; } article.failed h2 { color: #c43; opacity: 1; } time { opacity: .6; }
h2 { margin: 0; font-size: .8rem; font-weight: normal; opacity: .6; }
pre { overflow-x: auto; padding: .5rem; background: #8882; } img { max-width: 100%; }
details { opacity: .7; } table { border-collapse: collapse; } td, th { border: 1px solid #8888; padding: .2rem .5rem; }
"""


def as_markdown(messages: Sequence[Message]) -> str:
    """Write a conversation as Markdown (CommonMark), images as data URIs."""
    parts = [part for message in messages for part in (f"## {_heading(message)}", *_parts(message))]
    return "\n\n".join(parts) + "\n"


def as_html(messages: Sequence[Message], title: str = "tether") -> str:
    """Write a conversation as a page that needs no other file.

    Args:
        messages: the conversation.
        title: the title of the page.

    Returns:
        HTML. HTML in messages is shown as text.
    """
    from markdown_it import MarkdownIt  # noqa: PLC0415 - for this command alone

    # Models and tools wrote most of it: their HTML is not trusted, and nothing may be fetched from elsewhere.
    markdown = MarkdownIt(options_update={"html": False}).enable("table")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    articles = (
        f'<article class="{_class_of(message)}"><h2>{html.escape(_heading(message))}</h2>\n'
        f"{''.join(markdown.render(part) for part in _parts(message))}</article>\n"
        for message in messages
    )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<style>\n{_STYLE}</style>\n<h1>{html.escape(title)}</h1>\n{_date(messages)}{''.join(articles)}</html>\n"
    )


def _date(messages: Sequence[Message]) -> str:
    """Write when the conversation began, in UTC."""
    if not messages or not messages[0].timestamp:
        return ""
    began = datetime.fromtimestamp(messages[0].timestamp, UTC)
    return f'<p><time datetime="{began.isoformat()}">{began:%Y-%m-%d %H:%M} UTC</time></p>\n'


def _class_of(message: Message) -> str:
    return f"{message.role} failed" if _has_failed(message) else message.role


def _has_failed(message: Message) -> bool:
    match message:
        case ToolResultMessage():
            return message.is_error
        case AssistantMessage():
            return message.stop_reason not in {"stop", "tool_calls", "pause"}
        case _:
            return False


def _heading(message: Message) -> str:
    match message:
        case UserMessage():
            return "user"
        case AssistantMessage(stop_reason="stop" | "tool_calls" | "pause"):
            return f"assistant ({message.model})" if message.model else "assistant"
        case AssistantMessage(stop_reason=reason):
            return f"assistant ({message.model}; {reason})"
        case ToolResultMessage(outcome="ok"):
            return f"tool {message.name}"
        case ToolResultMessage(outcome=outcome):
            return f"tool {message.name} ({outcome})"
        case CustomMessage(kind):
            return kind
        case _:
            assert_never(message)


def _parts(message: Message) -> Iterator[str]:
    match message:
        case ToolResultMessage():
            for block in message.content:
                yield _fenced(block.text) if isinstance(block, Text) else _part(block)
        case CustomMessage():
            yield _fenced(json.dumps(message.data, indent=2, default=str), "json")
        case _:
            yield from (part for block in message.content if (part := _part(block)))


def _part(block: Block) -> str:
    match block:
        case Text(text):
            return text
        case Thinking(text):
            return "\n".join(f"> {line}" for line in text.splitlines())
        case Image(url=str(url)):
            return f"![image]({url})"
        case Image(file_id=str(file_id)):
            return f"*(image, {file_id})*"
        case Image(data, media_type):
            return f"![image](data:{media_type};base64,{base64.b64encode(data).decode()})"
        case Document() | Audio() | Video():
            return f"*({_described(block)})*"
        case ToolCall():
            arguments = block.malformed or json.dumps(dict(block.arguments), ensure_ascii=False)
            return f"Calls `{block.name}`:\n\n{_fenced(arguments, 'json')}"
        case ProviderItem(api):
            return f"*(an item of the API {api})*"
        case _:
            assert_never(block)


def _described(media: Document | Audio | Video) -> str:
    named = getattr(media, "name", None) or media.url or media.file_id or ""
    size = f"{len(media.data):,} bytes" if media.data else ""
    return ", ".join(filter(None, [media.type, named, media.media_type, size]))


def _fenced(text: str, language: str = "") -> str:
    """Put text in a fence that is longer than any within."""
    ticks = "```"
    while ticks in text:
        ticks += "`"
    return f"{ticks}{language}\n{text.rstrip(chr(10))}\n{ticks}"
