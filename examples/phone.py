"""A phone: follows its manifest, keeps copies of what is in it, reads, pins and reports.

The whole client of docs/devices-protocol.md in Python's own library. It keeps all that it knows in
its folder, so it may be killed at any moment and goes on where it was.

    $ export PHONE_TOKEN=$(cachekeeper devices add annas-phone)
    $ python examples/phone.py annas-phone read Photos/IMG_1.jpg
    $ python examples/phone.py annas-phone sync
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

CHUNK = 64 * 1024
TRIES = 5


class Refused(Exception):
    """The server says no; the problem says why."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('detail', '')}")
        self.status, self.problem = status, problem


class Cut(Exception):
    """The connection ended in the middle of a content."""


class Phone:
    """One device and its folder.

    ``cut_after`` plays a connection that is lost after so many bytes of a content.
    """

    def __init__(
        self, url: str, device: str, token: str, folder: Path, cut_after: int | None = None
    ) -> None:
        self._url, self._token, self._cut_after = urlsplit(url), token, cut_after
        self._base = f"/v1/devices/{quote(device, safe='')}"
        self._blobs, self._file = folder / "blobs", folder / "phone.json"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self.cursor: str | None = None
        self.manifest: dict[str, dict[str, Any]] = {}
        self.reads: list[str] = []  # that no report has told yet
        self.unsent: dict[str, Any] | None = None  # a report that got no answer yet
        self.listing: list[str] | None = None  # paths named by a listing that is under way
        if self._file.exists():
            self.__dict__.update(json.loads(self._file.read_text()))

    def sync(self) -> dict[str, int]:
        """Learn what changed, download what is missing, drop what is gone."""
        entries = fetched = 0
        for left in reversed(range(TRIES)):
            entries += self._follow()
            try:
                for path in sorted(self.manifest):
                    fetched += self.download(path)
                break
            except Refused as refused:  # the manifest has moved on meanwhile
                if refused.status != http.client.NOT_FOUND or not left:
                    raise
        held = {entry["sha256"] for entry in self.manifest.values()}
        for blob in self._blobs.iterdir():
            if blob.name.removesuffix(".part") not in held:
                blob.unlink()
        return {"entries": entries, "fetched": fetched, "held": len(self.manifest)}

    def read(self, path: str) -> bytes:
        """A file: our own copy if it is fresh, else a new one."""
        entry = self.manifest.get(path)
        if entry is None or entry["stale"] or entry["expires"] <= time.time():
            self.manifest[path] = self._json("POST", "/files", {"path": path})
        else:
            self.reads.append(path)  # the server has counted the others by itself
        self._save()
        self.download(path)
        return (self._blobs / self.manifest[path]["sha256"]).read_bytes()

    def download(self, path: str) -> bool:
        """Have the content of an entry, from where the last attempt ended; false if it is here."""
        digest, size = (self.manifest[path][name] for name in ("sha256", "size"))
        whole, part = self._blobs / digest, self._blobs / f"{digest}.part"
        if whole.exists():
            return False
        done = part.stat().st_size if part.exists() else 0
        if done < size or not size:
            headers = {"Range": f"bytes={done}-", "If-Range": f'"{digest}"'} if done else {}
            answer = self._ask("GET", f"/blobs/{digest}", {"path": path}, headers=headers)
            if done:
                print(f"resumed {path} at {done}: {answer.status}", file=sys.stderr)
            with part.open("ab" if answer.status == http.client.PARTIAL_CONTENT else "wb") as file:
                self._pour(answer, file)
            if part.stat().st_size < size:
                raise Cut(f"{path}: the connection ended early")
        with part.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                part.unlink()
                raise Cut(f"{path}: not the content that was promised")
        part.rename(whole)
        return True

    def report(self, metered: bool, battery: int | None) -> dict[str, Any]:
        """Tell what was read, once: a report that got no answer is sent again as it was."""
        if self.unsent is None:
            state = {"metered": metered, "battery": battery}
            self.unsent = {"id": uuid.uuid4().hex, "accesses": self.reads[:200], "state": state}
            self.reads = self.reads[200:]
            self._save()
        told = self._json("POST", "/reports", {}, self.unsent)
        self.unsent = None
        self._save()
        return dict(told)

    def pin(self, path: str) -> dict[str, Any]:
        """Keep a file whatever else is read."""
        return dict(self._json("PUT", "/pins", {"path": path}))

    def unpin(self, path: str) -> None:
        """Keep it no longer than others."""
        self._ask("DELETE", "/pins", {"path": path}).read()

    def _follow(self) -> int:
        more, entries = True, 0
        while more:
            given = {} if self.cursor is None else {"since": self.cursor}
            page = self._json("GET", "/manifest", given)
            entries += len(page["entries"])
            self._apply(page)
            more = page["more"] or page["full"]  # after a listing comes what changed meanwhile
        return entries

    def _apply(self, page: dict[str, Any]) -> None:
        if page["full"] and self.listing is None:
            self.listing = []
        for entry in page["entries"]:
            self.manifest[entry["path"]] = entry
        for path in page["gone"]:
            self.manifest.pop(path, None)
        if page["full"] and self.listing is not None:
            self.listing += [entry["path"] for entry in page["entries"]]
            if not page["more"]:  # what no page has named is gone
                named = set(self.listing)
                self.manifest = {p: e for p, e in self.manifest.items() if p in named}
                self.listing = None
        self.cursor = page["cursor"]
        self._save()

    def _pour(self, answer: http.client.HTTPResponse, file: Any) -> None:
        left = self._cut_after
        with answer:
            while chunk := answer.read(CHUNK if left is None else min(CHUNK, left)):
                file.write(chunk)
                left = None if left is None else left - len(chunk)
                if left == 0:
                    raise Cut("the connection was lost")

    def _json(self, method: str, path: str, query: dict[str, str], body: Any = None) -> Any:
        with self._ask(method, path, query, body) as answer:
            return json.load(answer)

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        sent = None if body is None else json.dumps(body)
        target = f"{self._base}{path}?{urlencode(query)}"
        known = {"Authorization": f"Bearer {self._token}", "Connection": "close"}
        for left in reversed(range(TRIES)):
            connection = kind[self._url.scheme](self._url.netloc, timeout=60)
            connection.request(method, target, sent, known | (headers or {}))
            answer = connection.getresponse()
            if answer.status < http.client.MULTIPLE_CHOICES:
                return answer
            text, wait = answer.read(), answer.headers.get("Retry-After")
            if wait is None or not left:
                break
            time.sleep(float(wait))  # as long as the server asked for
        try:
            problem = json.loads(text)
        except ValueError:  # it was not the endpoint itself that answered
            problem = {"detail": text.decode(errors="replace")}
        raise Refused(answer.status, problem)

    def _save(self) -> None:
        kept = {k: v for k, v in self.__dict__.items() if not k.startswith("_")}
        aside = self._file.with_suffix(".new")
        aside.write_text(json.dumps(kept))
        aside.rename(self._file)


def main() -> None:
    """Do one thing, and print what came of it as JSON."""
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("device")
    given.add_argument("command", choices=["sync", "read", "pin", "unpin", "report"])
    given.add_argument("paths", nargs="*")
    given.add_argument("--url", default="http://127.0.0.1:8440")
    given.add_argument("--folder", type=Path, default=Path("phone"))
    given.add_argument("--metered", action="store_true")
    given.add_argument("--battery", type=int)
    given.add_argument("--cut-after", type=int, help="play a connection lost after so many bytes")
    asked = given.parse_args()
    token = os.environ.get("PHONE_TOKEN", "")
    phone = Phone(asked.url, asked.device, token, asked.folder, asked.cut_after)
    try:
        if asked.command == "sync":
            done: Any = phone.sync()
        elif asked.command == "report":
            done = phone.report(asked.metered, asked.battery)
        elif asked.command == "read":
            done = {path: len(phone.read(path)) for path in asked.paths}
        elif asked.command == "pin":
            done = [phone.pin(path) for path in asked.paths]
        else:
            done = [phone.unpin(path) for path in asked.paths]
    except (Refused, Cut, OSError, http.client.HTTPException) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(json.dumps(done))


if __name__ == "__main__":
    main()
