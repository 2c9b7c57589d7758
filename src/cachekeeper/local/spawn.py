"""Start processes that can't become orphans, whatever happens to the one that starts them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cachekeeper.local import guardian as program
from cachekeeper.local.niceness import give_way

# The child waits for a word before it becomes the program: the owner gives it once the
# guardian knows the pid. Were the owner killed in between, the child would read the end of
# its input and leave, so there is no moment in which nobody looks after it.
_GATE = 'read -r word && exec "$@" </dev/null'


class Guardian:
    """The owner's side of the guardian process; starts it again if it dies.

    ``log`` takes what it says (by default nowhere). ``keep`` are file descriptors that stay
    open as long as the guardian lives, such as a lock that outlives its owner's death.
    """

    def __init__(self, log: Path | None = None, keep: Sequence[int] = ()) -> None:
        self._log, self._keep = log, tuple(keep)
        self._groups: dict[int, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the guardian process, None while it doesn't run."""
        return self._process.pid if self._process else None

    def ensure(self) -> None:
        """Start the guardian if it does not run, and tell it about every group again."""
        if self._process and self._process.poll() is None:
            return
        self._drop()
        with (self._log or Path(os.devnull)).open("ab") as log:
            self._process = subprocess.Popen(
                # Isolated and without site-packages: 30 ms and 14 MB in any environment.
                [sys.executable, "-I", "-S", program.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                pass_fds=self._keep,
                bufsize=0,
            )
        for line in self._groups.values():
            self._tell(line)

    def add(self, pid: int, *, stage: int, grace: float) -> None:
        """Guard the process group that ``pid`` leads; low stages stop first, ``grace`` in s."""
        self.ensure()
        self._groups[pid] = json.dumps({"add": pid, "stage": stage, "grace": grace})
        self._tell(self._groups[pid])

    def remove(self, pid: int) -> None:
        """Forget the group: it has ended."""
        if self._groups.pop(pid, None):
            self._tell(json.dumps({"remove": pid}))

    def close(self) -> None:
        """End the guardian. Groups that were not removed are stopped by it first."""
        if self._process is None:
            return
        if not self._groups:
            self._tell(json.dumps({"dismiss": True}))
        self._drop()

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # A guardian that has just died is told again by the next `ensure`.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode() + b"\n")

    def _drop(self) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.ensure()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def spawn(
    argv: Sequence[str | Path],
    guardian: Guardian,
    *,
    output: IO[bytes],
    stage: int = 0,
    grace: float = 9.0,
    nice: int = 0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``argv`` as the leader of a session of its own, under the guardian's eye.

    Args:
        output: where its standard output and error go.
        stage: what stops first when the owner is gone; the lowest.
        grace: seconds between SIGTERM and SIGKILL then.
        nice: added to the niceness of the process and its children.
        env: its whole environment; None: ours.
        keep: file descriptors that it inherits.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", _GATE, "sh", *argv],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
        pass_fds=tuple(keep),
        bufsize=0,
    )
    assert process.stdin is not None
    guardian.add(process.pid, stage=stage, grace=grace)
    if nice:
        # From outside and before the program begins: no Python code between fork and exec.
        give_way(process.pid, nice)
    with contextlib.suppress(BrokenPipeError), process.stdin as word:
        word.write(b"go\n")
    return process
