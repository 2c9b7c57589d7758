#!/usr/bin/env python3
"""Make .venv from requirements.lock, then run a command in it. Needs nothing but Python 3.11.

    python3 bootstrap.py run [LIBRARY]     start everything and play a morning on a folder
    python3 bootstrap.py demo [LIBRARY]    the same, then check that all of it worked, and end
    python3 bootstrap.py test [ARG...]     the tests (arguments go to pytest)
    python3 bootstrap.py lint              ruff, mypy and import-linter
    python3 bootstrap.py bench [ARG...]    the benchmarks (python -m bench)
    python3 bootstrap.py stop              stop what `run` or `cachekeeper up` started
    python3 bootstrap.py exec CMD...       any command of the environment
    python3 bootstrap.py setup             the environment only
    python3 bootstrap.py lock [ARG...]     re-make requirements.lock (arguments go to uv)

The environment is made once; from then on this costs a few hundredths of a second.
"""

# This file must stay readable to any Python 3, so that an old one can say what is missing:
# generic types in annotations are quoted.

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
PROJECT = ROOT / "pyproject.toml"

LINTERS = ("ruff check", "ruff format --check", "mypy", "lint-imports")

#: Most tests wait for other processes; those of one file share what is dear to set up. `-n 0`,
#: later on the command line, has them run in one process.
SIDE_BY_SIDE = ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile")

#: What each name runs, given its arguments; several commands run in turn, whatever fails.
COMMANDS: "dict[str, Callable[[list[str]], list[list[str]]]]" = {
    "run": lambda args: [["python", "-m", "demo", "run", *library(args)]],
    "demo": lambda args: [["python", "-m", "demo", "check", *library(args)]],
    "test": lambda args: [["python", "-m", "pytest", *SIDE_BY_SIDE, *args]],
    "lint": lambda _: [line.split() for line in LINTERS],
    "bench": lambda args: [["python", "-m", "bench", *args]],
    "stop": lambda args: [["cachekeeper", "stop", *args]],
    "exec": lambda args: [args or fail("exec: which command?")],
    "setup": lambda _: [],
}


def main(name: str, args: "list[str]") -> int:
    """Do what the user named; the exit status."""
    if name in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if name not in COMMANDS and name != "lock":
        fail(f"unknown command {name}; one of: {', '.join([*COMMANDS, 'lock', 'help'])}")
    if sys.version_info < OLDEST:
        hand_over_to_a_newer_python()
    if name == "lock":
        return lock(args)
    commands = COMMANDS[name](args)
    set_up()
    os.chdir(ROOT)
    return execute(commands)


def execute(commands: "list[list[str]]") -> int:
    """Become the command; of several, run each and say which failed."""
    if len(commands) == 1:
        try:
            os.execvpe(commands[0][0], commands[0], environment())
        except OSError as error:
            fail(f"{commands[0][0]}: {error.strerror}")
    failed = []
    for command in commands:
        print("$", *command, flush=True)
        if subprocess.call(command, env=environment()):
            failed.append(" ".join(command))
    if failed:
        print("FAILED:", ", ".join(failed), file=sys.stderr)
    return bool(failed)


def library(args: "list[str]") -> "list[str]":
    """``[LIBRARY] [OPTION...]`` as options; relative to where the caller is, ``~`` included."""
    if not args or not args[0] or args[0].startswith("-"):
        return args
    # os.path: `Path.expanduser` raises where there is no home; this leaves the name as it is.
    folder = Path.cwd() / os.path.expanduser(args[0])  # noqa: PTH111
    return ["--library", str(folder), *args[1:]]


# -- the environment ---------------------------------------------------------------------------


def set_up() -> None:
    """Bring ``.venv`` up to date.

    Each step has a stamp, written after it, that says for what it was done: a set-up that was
    interrupted at any point has no stamp and is done again.
    """
    steps = (
        (VENV / ".stamp-lock", digest(LOCK), install_lock),
        (VENV / ".stamp-project", digest(PROJECT), install_project),
    )

    def is_done(stamp: Path, wanted: str) -> bool:
        return stamp.is_file() and stamp.read_text() == wanted

    if all(is_done(stamp, wanted) for stamp, wanted, _ in steps):
        return
    with alone():  # somebody else may have done it meanwhile: look again
        for stamp, wanted, install in steps:
            if not is_done(stamp, wanted):
                stamp.unlink(missing_ok=True)
                install()
                stamp.write_text(wanted)


def digest(path: Path) -> str:
    """What an installation depends on: this file, this Python, and where the checkout lies."""
    parts = (path.read_bytes(), sys.version.encode(), python().encode(), os.fsencode(ROOT))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def python() -> str:
    """The interpreter itself, even if we were started from inside ``.venv``."""
    return os.path.realpath(sys.executable)


def install_lock() -> None:
    """Everything of the lock, and nothing that the lock has no hash for."""
    say("setting up .venv (once, about 20 s) ...")
    shutil.rmtree(VENV, ignore_errors=True)
    make_venv()
    # Wheels only: building a source distribution would fetch its build tools without a hash.
    pip("--require-hashes", "--only-binary", ":all:", "-r", str(LOCK))


def install_project() -> None:
    """The checkout itself, editable; its build backend is in the lock."""
    pip("--no-build-isolation", "-e", str(ROOT))


def make_venv() -> None:
    """An empty environment with pip; Debian keeps the half of it in a package of its own."""
    command = [python(), "-m", "venv", str(VENV)]
    if quietly(command) == 0:
        return
    package = "python{}.{}-venv".format(*sys.version_info)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {package} ...")
        quietly(["apt-get", "update"])
        quietly(["apt-get", "install", "-y", package])
        if quietly(command) == 0:
            return
    fail(
        f"{python()} can't make virtual environments here (`{' '.join(command)}` says why).\n"
        f"On Debian and Ubuntu: sudo apt-get install -y {package}"
    )


def pip(*args: str) -> None:
    """``pip install`` into ``.venv``."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", *args]
    if subprocess.call(command, env=environment(), close_fds=False):
        fail("the set-up failed; the lines above say why. Run the same command to try again.")


def quietly(command: "list[str]") -> int:
    """Run a step whose output would only confuse; its exit status."""
    env = environment()
    env["PATH"] += ":/usr/sbin:/sbin"  # dpkg refuses to work without them
    env["DEBIAN_FRONTEND"] = "noninteractive"
    null = subprocess.DEVNULL
    return subprocess.call(command, env=env, stdout=null, stderr=null, close_fds=False)


@contextlib.contextmanager
def alone() -> "Iterator[None]":
    """One set-up at a time.

    The steps inherit the lock (hence ``close_fds=False``): were we killed, a pip that we left
    behind would still hold off the next set-up until it has ended.
    """
    with Path(__file__).open("r+b") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this checkout ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def environment() -> "dict[str, str]":
    """The caller's environment, but ``.venv`` comes first and no other Python interferes."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env["VIRTUAL_ENV"] = str(VENV)
    env["PATH"] = f"{VENV / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
    return env


# -- the rest ----------------------------------------------------------------------------------


def lock(args: "list[str]") -> int:
    """Re-make requirements.lock: one file for every platform and Python, hashes, no URL."""
    if not shutil.which("uv"):
        fail("lock: uv is not on PATH; https://docs.astral.sh/uv/ says how to get it")
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
    extras = ("app", "demo", "http", "webdav", "fsspec")
    command += [part for extra in extras for part in ("--extra", extra)]
    command += ["--group", "dev", *args]
    command += [PROJECT.name, "-o", LOCK.name]
    return subprocess.call(command, cwd=ROOT, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"})


def hand_over_to_a_newer_python() -> NoReturn:
    """Start again with the newest Python on PATH that works (a shim may exist and not work)."""
    for name in NEWER:
        path = shutil.which(name)
        if path and quietly([path, "-c", ""]) == 0:
            os.execv(path, [path, *sys.argv])
    fail(
        "Python 3.11 or newer is needed; this is {}.{} and there is no {} on PATH".format(
            sys.version_info[0], sys.version_info[1], ", ".join(NEWER)
        )
    )


def say(line: str) -> None:
    """One line of progress, out of the way of what the command prints."""
    print(f"bootstrap: {line}", file=sys.stderr, flush=True)


def fail(message: str) -> NoReturn:
    """An expected failure: a message, no stack trace."""
    sys.exit(f"bootstrap: {message}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "help", sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # a full disk, a checkout that may only be read
        fail(str(error))
