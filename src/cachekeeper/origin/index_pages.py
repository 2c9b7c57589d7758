"""The page by which a web server shows a folder: which of its links are what lies in it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

from cachekeeper.origin.address import Root

TITLES: Final = ("index of", "directory listing", "listing of")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.headings = ""
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]
        self._inside = tag in {"title", "h1"} or self._inside

    def handle_endtag(self, tag: str) -> None:
        if tag in {"title", "h1"}:
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.headings += data.strip().lower() + "\n"


def children(root: Root, folder: str, page: str) -> dict[str, bool] | None:
    """The paths that a page links to directly below its folder, and whether each is a folder.

    Links to elsewhere, deeper down and with a query (``?C=M``, by which pages are sorted) are none.
    None when it does not look like the page of a folder at all.
    """
    parsed = _Page()
    try:
        parsed.feed(page)
    except AssertionError:  # as of "<![x": a section that no page of a folder has
        return None
    base = f"{root}{root.target(folder, folder=True).removeprefix(root.path)}"
    found: dict[str, bool] = {}
    for link in parsed.links:
        try:
            url = urlsplit(urljoin(base, link))
        except ValueError:
            continue
        path = root.below(url.path)
        elsewhere = url.netloc != urlsplit(base).netloc or url.query or url.fragment
        if path and not elsewhere and path.rpartition("/")[0] == folder:
            found[path] = found.get(path, False) or url.path.endswith("/")
    if found or any(line.startswith(TITLES) for line in parsed.headings.split("\n")):
        return found
    return None
