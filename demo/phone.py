"""A phone, in a process of its own, that takes along what it read: over HTTP, as real ones do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from cachekeeper.client.devices import open_devices
from demo.score import Check
from demo.stage import Stage

DEVICE = "phone"
PHONE = Path(__file__).parents[1] / "examples" / "phone.py"
NAME = "a phone took files along"
SYNC_S = 60.0


def taken_along(stage: Stage) -> Check:
    """Whether it followed its manifest and verified every content that it downloaded."""
    (url,) = (row.address for row in stage.running.services if row.name == "devices")
    token = open_devices(stage.cache).enrolment.add(DEVICE, renew=True)
    command = [sys.executable, str(PHONE), DEVICE, "sync", f"--url={url}"]
    synced = subprocess.run(
        [*command, f"--folder={stage.state.folder / 'phone'}"],
        env=os.environ | {"PHONE_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=SYNC_S,
        check=False,
    )
    if synced.returncode:
        return Check(NAME, False, synced.stderr.strip().rpartition("\n")[2])
    told = json.loads(synced.stdout)
    figure = f"{told['held']} files over HTTP, each by its SHA-256"
    return Check(NAME, told["held"] > 0, figure)
