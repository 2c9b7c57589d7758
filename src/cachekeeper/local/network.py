"""Ports and socket paths on this machine."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from pathlib import Path

from cachekeeper.errors import ConfigurationError

#: Nothing that runs here is reachable from another machine.
HOST = "127.0.0.1"
#: Bytes that fit into ``sockaddr_un.sun_path`` everywhere (macOS 104, Linux 108).
SUN_PATH = 100


def free_port(preferred: int) -> int:
    """``preferred`` or the next port that can be bound on loopback.

    Somebody may bind it before the caller does: a hint, not a reservation.

    Raises:
        ConfigurationError: every port up to 65535 is taken.
    """
    for port in range(preferred, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ConfigurationError(f"no free port from {preferred} on")


def socket_path(folder: Path, name: str) -> Path:
    """Where a Unix socket for ``folder`` goes: in it, or in a private folder with a short path.

    The short path is always the same for the same folder, so that a killed owner leaves
    nothing that its successor does not take over.

    Raises:
        ConfigurationError: the short path belongs to somebody else.
    """
    path = folder / name
    if len(os.fsencode(path)) < SUN_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    name_of_it = f"cachekeeper-{os.getuid()}-{digest}"
    # The folder for temporary files may be a long way down, too.
    candidates = (Path(base) / name_of_it for base in (tempfile.gettempdir(), "/tmp"))  # noqa: S108  # private, and checked below
    private = min(candidates, key=lambda path: len(os.fsencode(path / name)) >= SUN_PATH)
    private.mkdir(mode=0o700, exist_ok=True)
    found = private.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigurationError(f"{private}: not a private folder of ours; remove it")
    return private / name
