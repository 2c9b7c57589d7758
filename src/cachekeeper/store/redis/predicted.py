"""What the predictor keeps in Redis, as objects and back: see lua/parts/predict.lua."""

from __future__ import annotations

import hashlib
import struct

from cachekeeper.core.predict.calibration import BINS, Bin, Calibration
from cachekeeper.core.predict.factors import SLOTS
from cachekeeper.core.predict.items import Item
from cachekeeper.core.predict.rates import Rate
from cachekeeper.core.predict.visits import Guess, Visit
from cachekeeper.core.relations import Relation

DIGEST = 6  # bytes
_HEAD = struct.Struct(">HBBBBBB")
_VISIT = struct.Struct(">dB")
_RATE = struct.Struct(">dd")


def digest_of(path: str) -> str:
    """What stands for a path, in hex."""
    return hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()[: 2 * DIGEST]


def item_in(raw: bytes) -> tuple[str, Item]:
    """A file: its path, and what is known of it; followers by digest."""
    day, touched, *reads, count = _HEAD.unpack_from(raw)
    followers, start = dict[str, list[int]](), _HEAD.size
    for _ in range(count):
        digest, counts = raw[start : start + DIGEST], raw[start + DIGEST : start + DIGEST + SLOTS]
        followers[digest.hex()] = list(counts)
        start += DIGEST + SLOTS
    return raw[start:].decode(), Item(day, bool(touched), list(reads), followers)


def packed_item(path: str, item: Item) -> bytes:
    """The opposite, of an item with followers by path."""
    head = _HEAD.pack(item.day, item.touched, *item.reads, len(item.followers))
    each = (bytes.fromhex(digest_of(p)) + bytes(counts) for p, counts in item.followers.items())
    return head + b"".join(each) + path.encode()


def rate_in(raw: bytes | None) -> Rate:
    """A rate, be it one that nothing is known of."""
    return Rate() if raw is None else Rate(*_RATE.unpack(raw))


def packed_rate(hits: float, trials: float) -> bytes:
    """The opposite."""
    return _RATE.pack(hits, trials)


def calibration_in(raw: bytes | None) -> Calibration:
    """The bins, be they empty."""
    if raw is None:
        return Calibration()
    return Calibration([Bin(*_RATE.unpack_from(raw, _RATE.size * each)) for each in range(BINS)])


def visits_in(raw: bytes) -> list[Visit]:
    """What a device read last, the newest at the end; digests in place of paths."""
    visits, start = list[Visit](), 0
    while start < len(raw):
        at, length = _VISIT.unpack_from(raw, start)
        start += _VISIT.size
        extension = raw[start : start + length].decode()
        start += length
        digest, count = raw[start : start + DIGEST].hex(), raw[start + DIGEST]
        start += DIGEST + 1
        visit = Visit(digest, at, extension)
        for _ in range(count):
            kind, *numbers = raw[start + DIGEST : start + DIGEST + 4]
            guess = Guess(Relation(chr(kind)), *numbers)
            visit.guesses[raw[start : start + DIGEST].hex()] = guess
            start += DIGEST + 4
        visits.append(visit)
    return visits
