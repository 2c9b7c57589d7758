"""Changes are told at once, not too often, and never forgotten without a word."""

from __future__ import annotations

from cachekeeper.core.holding import CALM_S, FIRST_PAUSE_S, LONGEST_PAUSE_S, Holding
from cachekeeper.core.ports.origins import Changed

MANY = 1000


def test_a_lone_change_is_told_at_once_and_once() -> None:
    holding = Holding()
    holding.add([Changed("a", listing=False)])
    assert holding.due(0.0, MANY) == [Changed("a", listing=False)]
    assert holding.due(99.0, MANY) == []
    assert holding.next_due() is None


def test_a_file_that_goes_on_changing_is_told_a_few_times_and_at_its_end() -> None:
    holding, told, now = Holding(), [], 0.0
    while now < 30:  # written slowly, ten times a second
        holding.add([Changed("a", listing=False)])
        told += [now for _ in holding.due(now, MANY)]
        now += 0.1
    assert len(told) <= 5 + 30 / LONGEST_PAUSE_S
    due = holding.next_due()
    assert due is not None
    assert due <= now + LONGEST_PAUSE_S
    assert holding.due(due, MANY) == [Changed("a", listing=False)]


def test_after_a_rest_it_is_as_any_other() -> None:
    holding = Holding()
    for now in range(0, 40, 2):
        holding.add([Changed("a", listing=False)])
        holding.due(now, MANY)
    later = 40 + CALM_S
    holding.due(later, MANY)
    later += CALM_S + 1
    holding.add([Changed("a", listing=False)])
    assert holding.due(later, MANY)
    holding.add([Changed("a", listing=False)])
    assert holding.next_due() == later + FIRST_PAUSE_S


def test_a_new_list_is_not_forgotten_over_a_mere_edit() -> None:
    holding = Holding()
    holding.add([Changed("a", listing=True)])
    holding.add([Changed("a", listing=False)])
    assert holding.everything() == [Changed("a", listing=True)]
    assert len(holding) == 0


def test_what_finds_no_room_is_counted() -> None:
    holding = Holding(most=2)
    holding.add([Changed(name, listing=False) for name in "abc"])
    holding.add([Changed("a", listing=True)])
    assert (len(holding), holding.lost) == (2, 1)
    assert [each.path for each in holding.due(0.0, 1)] == ["a"]
    assert [each.path for each in holding.due(0.0, 1)] == ["b"]
