"""One edit and its proof: the old content was there just before, and only the new one is after.

An edit counts for a tier only if a *different* process held the old content in that tier just
before, and serves the new one from it afterwards.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cachekeeper import Cache
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.strategy import Strategy
from cachekeeper.errors import CachekeeperError
from demo.editor import Editor
from demo.model import album_of, digest
from demo.readers import ReaderProcess

LOOKS = 3


class Kind(StrEnum):
    """What is done to a file."""

    EDIT = "edit"
    RENAME = "rename"
    DELETE = "delete"


@dataclass
class Proof:
    """What was seen of one edit; times in seconds since 1970."""

    path: str
    kind: Kind
    strategy: Strategy
    receipt: Receipt | None = None
    edited: float = 0.0
    clean: float | None = None  # when the last tier of the last process was
    tiers: set[str] = field(default_factory=set)  # those it counts for
    faults: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """From the edit until the last tier was clean."""
        return None if self.clean is None else self.clean - self.edited


class Prover:
    """Edits files and has reader processes say what they serve."""

    def __init__(
        self, cache: Cache, editor: Editor, readers: list[ReaderProcess], clean_s: float
    ) -> None:
        self._cache, self._editor, self._readers = cache, editor, readers
        self._clean_s = clean_s

    def prove(self, path: str, kind: Kind, strategy: Strategy) -> Proof:
        """Change a file, invalidate it, and look before and after."""
        proof = Proof(path, kind, strategy)
        try:
            self._prove(proof)
        except (CachekeeperError, OSError) as error:
            proof.faults.append(f"{path}: {error}")
        return proof

    def _prove(self, proof: Proof) -> None:
        path = proof.path
        before = [reader.call("look", path=path) for reader in self._readers]
        old = digest((self._editor.folder / path).read_bytes())
        waits = [
            reader.ask("wait_clean", path=path, old=old, timeout=self._clean_s)
            for reader in self._readers
        ]
        proof.edited = time.time()
        new, keys = self._change(proof)
        handle = self._cache.invalidate(
            keys, strategy=proof.strategy, consistency="strict", reason=f"{proof.kind} in the demo"
        )
        proof.receipt = handle.wait(self._clean_s)
        if proof.receipt.status is not Status.DONE:
            proof.faults.append(f"{path}: receipt {proof.receipt.status}")
        self._await_clean(proof, [wait.result() for wait in waits])
        for reader, seen in zip(self._readers, before, strict=True):
            self._compare(proof, reader, seen, old, new)

    def _change(self, proof: Proof) -> tuple[str | None, list[str]]:
        """Do it; returns the digest of the new content and the keys to invalidate."""
        path, listing = proof.path, f"folder:{album_of(proof.path)}"
        if proof.kind is Kind.EDIT:
            return digest(self._editor.edit(path)), [f"file:{path}"]
        if proof.kind is Kind.RENAME:
            self._editor.rename(path)
        else:
            self._editor.delete(path)
        return None, [f"file:{path}", listing]

    def _await_clean(self, proof: Proof, found: list[dict[str, dict[str, Any]]]) -> None:
        """No tier may serve the old once a strict receipt says that none does."""
        assert proof.receipt is not None
        times = [at for watched in found for at in watched["clean"].values()]
        if None not in times:
            proof.clean = max(times)
        for watched in found:
            for tier, at in watched["clean"].items():
                late = watched["stale"][tier] - proof.receipt.finished
                if at is None:
                    proof.faults.append(f"{proof.path}: {tier} still serves the old")
                elif late > 0:
                    text = f"{tier} served the old {1000 * late:.0f} ms after the receipt"
                    proof.faults.append(f"{proof.path}: {text}")

    def _compare(
        self, proof: Proof, reader: ReaderProcess, before: dict[str, Any], old: str, new: str | None
    ) -> None:
        after = reader.call("look", path=proof.path)
        for _ in range(LOOKS - 1):
            if new is None or all(after["tiers"][t] for t in _held(before, old)):
                break  # another read may have pushed it out of a tier: look again
            after = reader.call("look", path=proof.path)
        wrong = {"got": after["got"], "device": after["device"]} | after["tiers"]
        for name, content in wrong.items():
            if content is not None and content != new:
                proof.faults.append(f"{proof.path}: {name} is not fresh")
        if after["got"] != new:
            proof.faults.append(f"{proof.path}: read {after['got']}, expected {new}")
        if after["shown"] is not None and after["shown"] == before["shown"]:
            proof.faults.append(f"{proof.path}: the album page shows the old one")
        if after["shown"] != after["thumb"]:
            proof.faults.append(f"{proof.path}: page and thumbnail differ")
        if new is not None:
            proof.tiers |= {t for t in _held(before, old) if after["tiers"][t] == new}


def _held(before: dict[str, Any], old: str) -> set[str]:
    """The tiers that held the old content."""
    return {name for name, content in before["tiers"].items() if content == old}
