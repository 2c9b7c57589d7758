"""A WebDAV server on loopback in a process of its own: ``FOLDER REQUESTS [OPTION]``.

It prints its port, then writes a line per request to the file REQUESTS. With ``--tells`` it does
what Nextcloud does and plain servers don't: a folder's ETag changes with anything below.
With ``--apart`` it does what Apache does: one changes with the names in the folder only.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cheroot import wsgi
from wsgidav.fs_dav_provider import FilesystemProvider, FolderResource
from wsgidav.wsgidav_app import WsgiDAVApp

OWNCLOUD_ID = "{http://owncloud.org/ns}id"
USER, PASSWORD = "anna", "s3cret-pässword"


class TellingFolder(FolderResource):
    """A folder whose ETag is made of all that is below."""

    def get_etag(self) -> str:
        found = hashlib.sha256()
        for folder, folders, files in os.walk(self._file_path):
            folders.sort()
            for name in [*folders, *sorted(files)]:
                status = (Path(folder) / name).stat()
                found.update(f"{folder}/{name} {status.st_mtime_ns} {status.st_ino}".encode())
        return found.hexdigest()

    def support_etag(self) -> bool:
        return True

    def get_property_value(self, name: str) -> Any:
        return "00000007oc" if name == OWNCLOUD_ID else super().get_property_value(name)


class FolderApart(FolderResource):
    """A folder whose ETag is made of itself."""

    def get_etag(self) -> str:
        return str(self.file_stat.st_mtime_ns)

    def support_etag(self) -> bool:
        return True


class Provider(FilesystemProvider):
    """A provider of folders of a kind."""

    kind = FolderResource

    def get_resource_inst(self, path: str, environ: dict[str, Any]) -> Any:
        found = super().get_resource_inst(path, environ)
        if isinstance(found, FolderResource):
            return self.kind(path, environ, found._file_path)
        return found


class TellingProvider(Provider):
    """Of the first kind."""

    kind = TellingFolder


class ProviderApart(Provider):
    """Of the second."""

    kind = FolderApart


PROVIDERS = {"--tells": TellingProvider, "--apart": ProviderApart, "": FilesystemProvider}


def main(folder: str, requests: str, option: str = "") -> None:
    provider = PROVIDERS[option]
    application = WsgiDAVApp(
        {
            "provider_mapping": {"/dav/my files": provider(folder, fs_opts={})},
            "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
            "http_authenticator": {"accept_basic": True, "accept_digest": False},
            "logging": {"enable": False},
            "verbose": 0,
            "lock_storage": False,
            "property_manager": False,
        }
    )

    def counted(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        with Path(requests).open("a") as file:
            file.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n")
        yield from application(environ, start)

    server = wsgi.Server(("127.0.0.1", 0), counted, numthreads=8)
    server.prepare()
    print(server.bind_addr[1], flush=True)
    server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
