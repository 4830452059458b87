"""Blocks of Markdown as they look at a terminal; it is loaded only where there is one, as rich is."""

from typing import ClassVar

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import (
    CodeBlock,
    Heading,
    HorizontalRule,
    ListItem,
    Markdown,
    MarkdownElement,
    TableElement,
)
from rich.rule import Rule
from rich.segment import Segment
from rich.syntax import Syntax
from rich.table import Table

__all__ = ()

_LINK = ("link_open", "text", "link_close")


class _LeftHeading(Heading):
    LEVEL_ALIGN = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class _Code(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(
            str(self.text).rstrip(),
            self.lexer_name,
            theme=self.theme,
            word_wrap=True,
            padding=(0, 0, 0, 2),
            background_color="default",
        )


class _Item(ListItem):
    def render_number(
        self, console: Console, options: ConsoleOptions, number: int, last_number: int
    ) -> RenderResult:
        width = len(str(last_number)) + 3
        lines = console.render_lines(
            self.elements, options.update(width=max(options.max_width - width, 1)), style=self.style
        )
        for place, line in enumerate(lines):
            yield Segment(f"{number}. ".rjust(width) if place == 0 else " " * width)
            yield from line
            yield Segment("\n")


class _Table(TableElement):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, style="markdown.table.border")
        table.show_edge = False
        if self.header is not None and self.header.row is not None:
            for column in self.header.row.cells:
                heading = column.content.copy()
                heading.stylize("markdown.table.header")
                table.add_column(heading, overflow="fold")
        if self.body is not None:
            for row in self.body.rows:
                table.add_row(*(cell.content for cell in row.cells))
        yield table


class _Line(HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(style="markdown.hr")


class Page(Markdown):
    """Markdown in blocks: titles at the left, lists with dots behind numbers, tables and code without empty edges."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _Code,
        "code_block": _Code,
        "list_item_open": _Item,
        "table_open": _Table,
        "hr": _Line,
    }

    def __init__(self, markup: str, *, code_theme: str) -> None:
        super().__init__(markup, code_theme=code_theme, hyperlinks=False)
        for token in self.parsed:
            for part in token.children or ():
                if (
                    part.type == "softbreak"
                ):  # models do not wrap their lines: a line break is meant
                    part.type = "hardbreak"
            if token.children:
                _plain_addresses(token)


def _plain_addresses(token: object) -> None:
    """Have a link whose text is its address written once."""
    children = getattr(token, "children", [])
    for before, text, after in zip(children, children[1:], children[2:], strict=False):
        kinds = (before.type, text.type, after.type)
        if kinds == _LINK and text.content == before.attrs.get("href"):
            before.type = after.type = "text"
            before.content = after.content = ""
