"""A web server on loopback in a process of its own: files with ETags and ranges, no lists.

``FOLDER``; prints its port.
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles


def main(folder: str) -> None:
    application = Starlette(routes=[Mount("/files", StaticFiles(directory=folder))])
    listening = socket.create_server(("127.0.0.1", 0))
    # A head and its body are two packets, and asyncio does this for sockets of its own only.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(application, log_level="critical")).run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
