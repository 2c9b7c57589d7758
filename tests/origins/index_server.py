"""A web server on loopback in a process of its own: files with Last-Modified, and lists as pages.

``FOLDER``; prints its port.
"""

from __future__ import annotations

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class Handler(SimpleHTTPRequestHandler):
    """Keeps connections, and its mouth shut."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *values: object) -> None:
        pass


def main(folder: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
