"""The front door says what is so: the README's example prints what the README says it prints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from cachekeeper.local.state import wait_gone, wait_ready
from tests.support import unused_port

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
READY_S = 60.0


def block(language: str, containing: str) -> str:
    """The one fenced block of a language that holds a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    (found,) = [text for text in blocks if containing in text]
    return str(found)


def test_the_example_is_the_file_that_it_names() -> None:
    example = (ROOT / "examples" / "titles.py").read_text(encoding="utf-8")
    assert example.split('"""\n\n', 1)[1] == block("python", "from cachekeeper import Cache")


def test_the_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    env = os.environ | {
        "CACHEKEEPER_STATE": str(tmp_path / "state"),
        "CACHEKEEPER_SERVER_PORT": str(unused_port()),
        "CACHEKEEPER_FLOWER_PORT": str(unused_port()),
    }
    command = Path(sys.executable).with_name("cachekeeper")
    up = subprocess.Popen(
        [command, "up", "--quiet"], env=env, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_ready(tmp_path / "state", READY_S)
        done = subprocess.run(
            [sys.executable, "-W", "error", ROOT / "examples" / "titles.py"],
            env=env,
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=False,
        )
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(READY_S)
    assert (done.stderr, done.stdout) == ("", block("text", "['Buy bread', 'Buy milk']"))
    assert wait_gone(tmp_path / "state", READY_S)


def test_the_pictures_and_pages_that_it_names_are_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert "docs/images/flower.png" in targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
