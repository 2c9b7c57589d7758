"""The endpoint of devices in a process of its own, as `up` runs it, and ways to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from cachekeeper.client.cache import Cache
from cachekeeper.client.devices import DeviceDesk, open_devices
from cachekeeper.core.request import make_request
from cachekeeper.settings import PREFIX, Settings
from tests.support import unused_port, wait_until

ROOT = Path(__file__).parents[2]
PHONE = [sys.executable, "-W", "error", str(ROOT / "examples" / "phone.py")]
LEAVES_S = 10


class Answer(NamedTuple):
    """What the endpoint said."""

    status: int
    headers: dict[str, str]  # names in small letters
    body: bytes

    @property
    def told(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)


@dataclass
class Site:
    """A library, the endpoint of its devices, and a desk that looks after them."""

    desk: DeviceDesk
    library: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, device: str) -> str:
        """Of a device, which is added when it is first named."""
        if device not in self.tokens:
            self.tokens[device] = self.desk.enrolment.add(device)
        return self.tokens[device]

    def edit(self, path: str, body: bytes) -> None:
        """Change a file, and say so: in effect when this returns."""
        (self.library / path).write_bytes(body)
        stores = self.desk.cache.stores
        at = stores.marks.now().epoch
        stores.marks.mark([make_request(id=f"{path}-{at}", at=1.0, keys=[f"file:{path}"])], 1.0)

    def ask(
        self,
        method: str,
        place: str,
        *,
        device: str = "anna",
        token: str | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> Answer:
        """One request over a connection of its own, as the device unless another token is given."""
        given = {"Authorization": f"Bearer {self.token(device) if token is None else token}"}
        target = f"/v1/devices/{device}{place}" + (f"?{urlencode(query)}" if query else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, body, given | (headers or {}))
            found = connection.getresponse()
            named = {name.lower(): value for name, value in found.getheaders()}
            return Answer(found.status, named, found.read())
        finally:
            connection.close()

    def phone(
        self, folder: Path, *arguments: str, device: str = "anna"
    ) -> subprocess.CompletedProcess[str]:
        """What the simulated phone does, in a process of its own."""
        command = [*PHONE, device, *arguments, f"--url={self.url}", f"--folder={folder}"]
        env = os.environ | {"PHONE_TOKEN": self.token(device)}
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=False
        )


@contextmanager
def endpoint(server_url: str, deployment: str, folder: Path, **given: object) -> Iterator[Site]:
    """A site with a library of its own; ``given`` are further settings."""
    library = folder / "library"
    library.mkdir()
    values: dict[str, Any] = {
        "cache_url": server_url,
        "broker_url": server_url.removesuffix("/0") + "/12",
        "deployment": deployment,
        "state": folder / "state",
        "origin": library,
        "memory_bytes": 0,
        "disk_min_free": 0,
        **given,
    }
    port, log = unused_port(), folder / "log"
    env = os.environ | {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items()}
    with (
        Cache(Settings(**values)) as cache,
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "cachekeeper.protocol", f"--port={port}"],
            cwd=ROOT,
            env=env,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            wait_until(lambda: re.search("running on", log.read_text()), 30)
            yield Site(open_devices(cache), library, port, process, log)
        finally:
            process.terminate()
            process.wait(LEAVES_S)
