"""The text of an HTML page."""

import re
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """A parser that collects the text of a page: a line for each block, with white space as a browser shows it."""

    UNSEEN = frozenset(("script", "style"))
    INLINE = re.compile(
        "a|abbr|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|img|ins|kbd|label|mark|q|s|samp|small|span|strike|strong|su[bp]"
        "|tt|u|var|wbr"
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._text: list[str] = []
        self._unseen = self._verbatim = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Begin a line at the start of a block."""
        self._unseen += tag in self.UNSEEN
        self._verbatim += tag == "pre"
        self._mark(tag)

    def handle_endtag(self, tag: str) -> None:
        """End the line at the end of a block."""
        self._unseen = max(0, self._unseen - (tag in self.UNSEEN))
        self._verbatim = max(0, self._verbatim - (tag == "pre"))
        self._mark(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """Separate the text around an empty element."""
        self._mark(tag)

    def _mark(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._text.append(" ")
        elif not self.INLINE.fullmatch(tag):
            self._text.append("\n")

    def handle_data(self, data: str) -> None:
        """Collect text between tags."""
        if not self._unseen:
            self._text.append(data if self._verbatim else re.sub(r"\s+", " ", data))

    def lines(self, end: bool = False) -> list[str]:
        """Return the complete lines collected so far and forget them; `end`: with the last, unfinished line."""
        *whole, rest = "".join(self._text).split("\n")
        self._text = [] if end else [rest]
        return [re.sub("  +", " ", line).strip() for line in (*whole, *[rest] * end)]
