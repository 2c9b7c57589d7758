"""What of a page of a folder is a list of it, in the pages of several servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cachekeeper.core.ports.origins import Origin
from cachekeeper.errors import NotListable, OriginMissing, OriginUnavailable
from tests.origins.faulty import Faulty, content, faulty, status
from tests.origins.servers import only

NGINX = """<html>
<head><title>Index of /files/</title></head>
<body><h1>Index of /files/</h1><hr><pre><a href="../">../</a>
<a href="a%20b%23.txt">a b#.txt</a>      01-Jun-2026 10:00      3
<a href="sub/">sub/</a>                  01-Jun-2026 10:00      -
</pre><hr></body></html>"""
APACHE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html><head><title>Index of /files</title></head><body><h1>Index of /files</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/">Parent Directory</a></td></tr>
<tr><td><a href="a%20b%23.txt">a b#.txt</a></td></tr><tr><td><a href="sub/">sub/</a></td></tr>
</table></body></html>"""
CADDY = """<!DOCTYPE html><html><head><title>/files/</title></head><body><main>
<a href="./a%20b%23.txt"><span class="name">a b#.txt</span></a>
<a href="./sub/"><span class="name">sub</span></a>
<a href="https://caddyserver.com">Caddy</a></main></body></html>"""
HOSTILE = """<title>Index of /files</title><a href="a%20b%23.txt">x</a><a href="/files/sub/">y</a>
<a href="/etc/passwd">1</a><a href="../../x">2</a><a href="sub/deeper">3</a><a href="#top">4</a>
<a href="%2e%2e/secret">5</a><a href="..%2fsecret">6</a><a href="http://169.254.169.254/x">7</a>
<a href="javascript:alert(1)">8</a><a href="mailto:a@b">9</a><a href="a?x=1">10</a><a href="">11</a>
<a href="http://[bad">12</a><a href=".hidden">13</a><a href="gone">14</a><a>15</a>"""


@pytest.fixture
def server() -> Iterator[Faulty]:
    with faulty() as made:
        made.answers["/files/a%20b%23.txt"] = content(b"123", ETag='"1"')
        yield made


@pytest.fixture
def origin(server: Faulty, tmp_path: Path) -> Origin:
    return only(tmp_path, url=f"{server.url}files", failures=1000)


@pytest.mark.parametrize("page", [NGINX, APACHE, CADDY, HOSTILE])
def test_the_links_to_what_lies_in_the_folder_are_its_list(
    server: Faulty, origin: Origin, page: str
) -> None:
    server.answers["/files/"] = content(page.encode(), Content_Type="text/html; charset=utf-8")
    file, folder = origin.list("it")
    assert (file.path, folder.path) == ("it/a b#.txt", "it/sub")
    assert file.version == origin.stat("it/a b#.txt")
    assert folder.version is None
    asked = {path.partition(" ")[2] for path in server.asked}
    assert asked <= {"/files/", "/files/a%20b%23.txt", "/files/gone"}


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("text/html", "<html><title>Our photos</title><a href='/login'>log in</a></html>"),
        ("text/html", ""),
        ("text/html", "<title>Index of /</title><![of-nobody[x]]>"),
        ("application/json", '{"files": []}'),
    ],
)
def test_a_page_of_a_site_is_no_list(server: Faulty, origin: Origin, kind: str, page: str) -> None:
    server.answers["/files/"] = content(page.encode(), Content_Type=kind)
    with pytest.raises(NotListable):
        origin.list("it")


def test_an_empty_folder_is_empty(server: Faulty, origin: Origin) -> None:
    page = b"<title>Index of /files/</title><a href='../'>../</a>"
    server.answers["/files/"] = content(page, Content_Type="text/html")
    assert origin.list("it") == []


def test_without_lists_a_folder_may_be_there_all_the_same(server: Faulty, origin: Origin) -> None:
    with pytest.raises(NotListable):
        origin.list("it/sub")
    server.answers["/files/"] = content(NGINX.encode(), Content_Type="text/html")
    with pytest.raises(OriginMissing):
        origin.list("it/sub")


def test_a_list_is_not_cut_short_by_a_file_that_fails(server: Faulty, origin: Origin) -> None:
    server.answers["/files/"] = content(NGINX.encode(), Content_Type="text/html")
    server.answers["/files/a%20b%23.txt"] = status(500)
    with pytest.raises(OriginUnavailable):
        origin.list("it")
