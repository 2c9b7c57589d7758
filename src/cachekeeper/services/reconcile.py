"""The sweep that finds the changes of an origin that nobody told: every push is but a hint.

It goes through the origin folder by folder, compares with the versions that are known, submits what
differs, and only then knows it. What has to be done is a stack in Redis: it is worked off in short
turns, by one process at a time, and goes on where a killed one was.

What is *not listed any more* is believed last. The first phase only counts it; the second looks
once more and submits. In between stands a rule: an origin, or one of its topmost folders, that has
lost more than half of at least ``GONE_LEAST`` files may be a disk that is not mounted. That is held
back until a later sweep says the same, or an operator. An origin that lists nothing at all is never
believed but by an operator.

The first pass learns. What the caches hold from before it may be older than what it has learnt, so
it ends with the invalidation of all files, once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from cachekeeper.core.keys import are_keys, file_key, folder_key
from cachekeeper.core.known import FOLDER, compare, digest_of, inside
from cachekeeper.core.ports.changes import KnownVersions, Pass, Submit, Sweeps
from cachekeeper.core.ports.origins import Origin
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.errors import ForbiddenPath, OriginMissing, OriginUnavailable

#: Seconds of one turn, after which others have theirs.
TURN_S: Final = 10.0
GONE_LEAST: Final = 100
KEYS_A_REQUEST: Final = 10_000
#: Names of a folder that are known and not listed, of which each is asked for by itself: links
#: are not listed, and are there all the same.
ASKED_AT_MOST: Final = 100
REASON: Final = "found by the sweep"
FIRST: Final = "the first sweep: what was kept before it may be older"

#: What a text on the stack begins with; the folder follows.
LOOK, COUNT, CONFIRM, FORGET = "+", "-", "?", "x"


class Turn(NamedTuple):
    """What one turn did."""

    ran: bool  # False: another process is at it, or nothing is to be done
    more: bool  # there is more to be done at once
    state: Pass


class Reconciler:
    """``forget_all`` invalidates all files of the origin, and all lists of folders.

    What is held back is believed when a sweep finds the same ``believed_after_s`` later.
    """

    def __init__(
        self,
        *,
        origin: Origin,
        known: KnownVersions,
        sweeps: Sweeps,
        submit: Submit,
        forget_all: Callable[[str], None],
        believed_after_s: float,
        now: Clock,
        turn_s: float = TURN_S,
    ) -> None:
        self._origin, self._known, self._sweeps = origin, known, sweeps
        self._submit_keys, self._forget_all = submit, forget_all
        self._believed_after_s, self._now, self._turn_s = believed_after_s, now, turn_s

    def run(self, *, begin: bool = True, anew: bool = False) -> Turn:
        """Do one turn of the pass that is under way; ``begin`` one when there is none.

        ``anew``: the pass must begin after this call, so another follows the one under way. Safe to
        run twice at once.

        Raises:
            CacheUnavailable, CacheFull, PendingFull: it goes on with the next turn.
        """
        token = uuid.uuid4().hex
        if not self._sweeps.take(token, self._now(), begin=begin, anew=anew):
            return Turn(ran=False, more=False, state=self._sweeps.state())
        end = self._now() + self._turn_s
        try:
            while self._now() < end and self._goes_on(token):
                pass
        finally:
            self._sweeps.release(token)
        state = self._sweeps.state()
        return Turn(ran=True, more=bool(state.phase), state=state)

    def _goes_on(self, token: str) -> bool:
        """Do the next step; False when that was the last one."""
        item = self._sweeps.top()
        return self._phase_over(token) if item is None else self._step(token, item)

    def _step(self, token: str, item: str) -> bool:
        kind, folder = item[0], item[1:]
        step = {LOOK: self._look, COUNT: self._count, CONFIRM: self._confirm, FORGET: self._forget}
        try:
            return step[kind](token, item, folder)
        except OriginUnavailable as error:
            if not folder:  # none of it is there
                self._sweeps.finish(token, self._now(), error=str(error))
                return False
            return self._sweeps.done(token, item, counts={"unavailable": 1})
        except (OriginMissing, ForbiddenPath):  # gone meanwhile: the next sweep sees that
            return self._sweeps.done(token, item, counts={})

    def _look(self, token: str, item: str, folder: str) -> bool:
        """Compare a folder with what is known of it; its own folders come next."""
        known = self._known.entries(folder)  # before the list, or what is told meanwhile is undone
        listed = self._origin.list(folder)
        learnt = self._sweeps.state().learnt
        found = compare(known, listed)
        present, gone = self._asked(folder, known, found.gone)
        gone_folders = self._unlisted(folder, found.gone_folders)
        changed = {**found.changed, **present}
        now: dict[str, bytes | None] = {**changed, **found.new}
        now |= dict.fromkeys((f"{name}/" for name in found.new_folders), FOLDER)
        if learnt:
            keys = [file_key(inside(folder, name)) for name in (*changed, *found.new)]
            if found.new or found.new_folders:
                keys.append(folder_key(folder))
            self._submit(keys)
        self._known.exchange(folder, known, now)
        counts = {
            "folders": 1,
            "same": found.same,
            "changed": len(changed),
            "new": len(found.new),
            "would_go": len(gone),
            f"kept/{_topmost(folder)}": found.same + len(changed),
            f"gone/{_topmost(folder)}": len(gone),
        }
        then = [LOOK + inside(folder, name) for name in found.folders]
        then += [COUNT + inside(folder, name) for name in gone_folders]
        suspect = [CONFIRM + folder] if gone or gone_folders else []
        return self._sweeps.done(token, item, then=then, suspect=suspect, counts=counts)

    def _asked(
        self, folder: str, known: dict[str, bytes], missing: list[str]
    ) -> tuple[dict[str, bytes], list[str]]:
        """Of files that are not listed: those that are there, and changed; those that are not."""
        if len(missing) > ASKED_AT_MOST:
            return {}, missing
        changed, gone = dict[str, bytes](), list[str]()
        for name in missing:
            try:
                now = digest_of(self._origin.stat(inside(folder, name)))
            except (OriginMissing, ForbiddenPath):
                gone.append(name)
            else:
                if now != known[name]:
                    changed[name] = now
        return changed, gone

    def _unlisted(self, folder: str, missing: list[str]) -> list[str]:
        """Of folders that are not listed: those that are not there by a link, either."""
        if len(missing) > ASKED_AT_MOST:
            return missing
        gone = list[str]()
        for name in missing:
            try:
                self._origin.list(inside(folder, name))
            except (OriginMissing, ForbiddenPath):
                gone.append(name)
        return gone

    def _count(self, token: str, item: str, folder: str) -> bool:
        """A folder that is not listed: how many files were in it."""
        names = self._known.entries(folder)
        files = sum(1 for name in names if not name.endswith("/"))
        counts = {"would_go": files, f"gone/{_topmost(folder)}": files}
        return self._sweeps.done(token, item, then=_below(COUNT, folder, names), counts=counts)

    def _confirm(self, token: str, item: str, folder: str) -> bool:
        """Look once more at a folder that has lost something, and submit what it has."""
        known = self._known.entries(folder)
        found = compare(known, self._origin.list(folder))
        _, gone = self._asked(folder, known, found.gone)
        gone_folders = self._unlisted(folder, found.gone_folders)
        if gone or gone_folders:
            keys = [file_key(inside(folder, name)) for name in gone]
            self._submit([*keys, folder_key(folder)])
        names = [*gone, *(f"{name}/" for name in gone_folders)]
        then = [FORGET + inside(folder, name) for name in gone_folders]
        if not self._sweeps.done(token, item, then=then, counts={"gone": len(gone)}):
            return False
        # Not before: killed in between, nobody would know of the folders that are to be forgotten.
        self._known.exchange(folder, known, dict.fromkeys(names))
        return True

    def _forget(self, token: str, item: str, folder: str) -> bool:
        """A folder is gone: submit the files that were in it."""
        names = self._known.entries(folder)
        files = [name for name in names if not name.endswith("/")]
        keys = [file_key(inside(folder, name)) for name in files]
        self._submit([*keys, folder_key(folder)])
        then = _below(FORGET, folder, names)
        if not self._sweeps.done(token, item, then=then, counts={"gone": len(files)}):
            return False
        self._known.exchange(folder, names, dict.fromkeys(names))
        return True

    def _phase_over(self, token: str) -> bool:
        """Nothing is left on the stack; whether there will be."""
        state = self._sweeps.state()
        if state.phase == "looking" and state.suspects and self._is_believed(state):
            return self._sweeps.confirm(token)
        if not state.learnt:
            self._forget_all(FIRST)
        held = state.would_go if state.phase == "looking" and state.suspects else 0
        return self._sweeps.finish(token, self._now(), held=held)

    def _is_believed(self, state: Pass) -> bool:
        """Whether what was not listed is taken to be gone."""
        if state.accepted or not state.would_go:
            return True
        if not state.files:  # nothing is listed at all
            return False
        tops = {name[len("gone/") :] for name in state.figures if name.startswith("gone/")}
        doubtful = _is_doubtful(state.would_go, state.same + state.changed) or any(
            _is_doubtful(state.figures[f"gone/{top}"], state.figures.get(f"kept/{top}", 0))
            for top in tops
        )
        waited = state.held_since and self._now() - state.held_since >= self._believed_after_s
        return bool(waited) or not doubtful

    def _submit(self, keys: Sequence[str]) -> None:
        checked = [key for key in keys if are_keys([key])]
        for start in range(0, len(checked), KEYS_A_REQUEST):
            self._submit_keys(checked[start : start + KEYS_A_REQUEST], reason=REASON)


def _topmost(folder: str) -> str:
    return folder.partition("/")[0]


def _below(kind: str, folder: str, names: dict[str, bytes]) -> list[str]:
    return [kind + inside(folder, name[:-1]) for name in names if name.endswith("/")]


def _is_doubtful(gone: int, kept: int) -> bool:
    return gone > kept and gone + kept >= GONE_LEAST
