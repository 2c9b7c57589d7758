"""The sample library: what stands in when no folder of one's own is given."""

from __future__ import annotations

import random
from pathlib import Path

from demo.pictures import painted

ALBUMS = (
    "2026-03 Lisbon",
    "2026-04 Garden",
    "2026-05 Harbour",
    "2026-06 Mountains",
    "2026-07 Lake",
    "2026-08 Birthday",
    "2026-09 Harvest",
    "2026-10 Forest",
)
PICTURES = 36  # in an album
NOTES = 40
WORDS = """
bread milk call dentist water tomatoes passport train harbour photo print frame letter garden gate
oil bicycle repair library book return invoice pay heating
"""


def make(folder: Path) -> None:
    """Make a few hundred pictures and notes; the same ones every time."""
    dice = random.Random(1)
    for number, album in enumerate(ALBUMS):
        shots = folder / "Photos" / album
        shots.mkdir(parents=True)
        for shot in range(1, PICTURES + 1):
            size = dice.choice(((640, 480), (480, 640), (800, 600)))
            picture = painted(*size, seed=1000 * number + shot)
            (shots / f"IMG_{shot}.jpg").write_bytes(picture)
    words = WORDS.split()
    notes = folder / "Documents"
    notes.mkdir()
    for number in range(1, NOTES + 1):
        lines = [" ".join(dice.choices(words, k=9)) for _ in range(dice.randrange(20, 200))]
        (notes / f"note {number}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
