"""Each policy on a few accesses worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

import pytest

from cachekeeper.core.policy import DEFAULT, POLICIES, make
from cachekeeper.core.policy.gdga import GDGA
from cachekeeper.core.policy.port import Policy, access
from cachekeeper.core.policy.retention import Retention
from cachekeeper.core.policy.wtinylfu import WTinyLFU
from cachekeeper.core.retention import DAY_S
from cachekeeper.errors import InvalidInput


def play(policy: Policy, accesses: str, size: int = 1) -> list[Sequence[str] | None]:
    """Access keys of one letter, one a second; what each call returned."""
    return [
        policy.on_hit(key, size, now) if key in policy else policy.on_insert(key, size, now)
        for now, key in enumerate(accesses)
    ]


def held(policy: Policy) -> str:
    return "".join(key for key in "abcdefghijklmnop" if key in policy)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_made_by_name(name: str) -> None:
    policy = make(name, 10)
    assert (policy.capacity, policy.used, len(policy)) == (10, 0, 0)
    assert not access(policy, "k", 5, 0)
    assert access(policy, "k", 5, 1)


def test_the_default_is_one_of_them() -> None:
    assert DEFAULT in POLICIES


def test_what_is_no_policy_or_no_capacity_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"policy: 'mru' .*lru"):
        make("mru", 10)
    for name in POLICIES:
        with pytest.raises(InvalidInput, match=r"capacity: 0 .*1 byte or more"):
            make(name, 0)


@pytest.mark.parametrize("name", POLICIES)
def test_an_entry_that_outgrows_everything_is_its_own_victim(name: str) -> None:
    policy = make(name, 10)
    policy.on_insert("k", 1, 0)
    assert policy.on_hit("k", 11, 1) == ["k"]
    assert (policy.used, len(policy), "k" in policy) == (0, 0, False)


def test_lru_lets_go_what_was_read_longest_ago() -> None:
    lru = make("lru", 3)
    assert play(lru, "abcad") == [(), (), (), (), ["b"]]
    assert lru.on_insert("e", 2, 9) == ["c", "a"]


def test_lfu_lets_go_what_was_read_least_and_of_those_the_oldest() -> None:
    lfu = make("lfu", 3)
    assert play(lfu, "aabcbd") == [(), (), (), (), (), ["c"]]  # a 2, b 2, c 1
    assert lfu.on_insert("e", 2, 9) == ["d", "a"]  # d 1; of a and b, a was read earlier


def test_retention_weighs_an_access_as_much_as_three_hours_and_a_half() -> None:
    """0.2 / 100 an access, 0.4 / 30 d of idleness: one is worth 3.6 h of the other."""
    policy = Retention(2)
    policy.on_insert("a", 1, 0)
    policy.on_hit("a", 1, 0)
    policy.on_insert("b", 1, 0.149 * DAY_S)
    assert policy.on_insert("c", 1, 0.2 * DAY_S) == ["b"]
    later = Retention(2)
    later.on_insert("a", 1, 0)
    later.on_hit("a", 1, 0)
    later.on_insert("b", 1, 0.151 * DAY_S)
    assert later.on_insert("c", 1, 0.2 * DAY_S) == ["a"]


def test_retention_knows_priorities() -> None:
    policy = Retention(2)
    policy.on_insert("critical", 1, 0, 1.0)
    policy.on_insert("low", 1, 1, 0.2)
    assert policy.on_insert("new", 1, 2, 0.5) == ["low"]


def test_gdsf_lets_go_what_is_large_for_how_often_it_is_read() -> None:
    gdsf = make("gdsf", 10)
    gdsf.on_insert("large", 8, 0)  # 1/8
    gdsf.on_insert("small", 2, 1)  # 1/2
    assert gdsf.on_insert("b", 4, 2) == ["large"]  # L = 1/8, b = 3/8
    gdsf.on_hit("b", 4, 3)  # 1/8 + 2/4 = 5/8
    assert gdsf.on_insert("c", 8, 4) == ["small", "b"]


def test_s3fifo_moves_what_was_read_twice_to_the_main_queue_and_remembers_the_rest() -> None:
    policy = make("s3fifo", 10)  # one for the small queue, nine for the main one
    assert play(policy, "aaa") == [(), (), ()]
    play(policy, "bcdefghij")
    assert play(policy, "k") == [["b"]]  # a, read twice, went to the main queue; b is a ghost
    assert play(policy, "b") == [["c"]]  # the ghost joins the main queue
    assert play(policy, "lmnopqrst") == [[x] for x in "defghijkl"]  # first in, first out
    assert held(policy) == "abmnop"


def test_s3fifo_gives_what_was_read_in_the_main_queue_another_round() -> None:
    policy = make("s3fifo", 3)
    play(policy, "aaabbbc")
    assert play(policy, "d") == [["c"]]  # a and b went to the main queue
    play(policy, "add")
    assert play(policy, "e") == [["b"]]  # d went there too; a had been read since, b had not


def test_wtinylfu_admits_what_was_asked_for_more_often_than_what_would_have_to_go() -> None:
    policy = WTinyLFU(100)  # a window of 1, a main part of 99
    for key in ("a", "b", "c"):
        assert not policy.on_insert(key, 33, 0)
    assert policy.on_insert("d", 33, 1) is None  # 1 against 1
    assert policy.on_insert("d", 33, 2) == ["a"]  # 2 against 1
    assert policy.on_insert("e", 66, 3) is None
    assert policy.on_insert("e", 66, 4) is None  # 2 against 1 + 1
    assert policy.on_insert("e", 66, 5) == ["b", "c"]


def test_wtinylfu_keeps_what_is_new_for_a_window() -> None:
    policy = WTinyLFU(200)  # a window of 2
    policy.on_insert("old", 198, 0)
    assert play(policy, "ab") == [[], []]
    assert play(policy, "c") == [["a"]]  # fell out of the window, and is no more wanted than old


class TestGDGA:
    """Sizes of one byte: c0 = 3, and a byte costs 4."""

    def test_a_newcomer_is_on_probation_and_a_second_access_ends_it(self) -> None:
        policy = GDGA(2)
        assert play(policy, "aba") == [(), (), ()]
        assert worth(policy, "b") == 0.3 * 4
        assert worth(policy, "a") == 2 * 4
        assert play(policy, "c") == [["b"]]  # worth as much as c: the newer one stays
        assert policy.floor == 1.2
        assert worth(policy, "c") == 1.2  # as L was when it came
        assert play(policy, "d") == [["c"]]
        assert worth(policy, "d") == 1.2 + 1.2

    def test_a_ghost_comes_back_with_its_count_and_ends_the_probation_of_others_later(self) -> None:
        policy = GDGA(2)
        play(policy, "abacd")
        assert play(policy, "b") == [["d"]]
        assert policy.w1 == pytest.approx(0.3 * exp(0.05))  # ghosts seen once 2, again 0
        assert worth(policy, "b") == 1.2 + 2 * 4

    def test_a_ghost_that_had_been_seen_again_shortens_probation(self) -> None:
        policy = GDGA(1)
        play(policy, "aa")
        policy.evict(1)
        assert policy.floor == 8
        play(policy, "a")
        assert policy.w1 == pytest.approx(0.3 / exp(0.05))
        assert worth(policy, "a") == 8 + 3 * 4

    def test_what_is_worth_less_than_its_victims_is_refused_and_remembered(self) -> None:
        policy = GDGA(2)
        play(policy, "aabb")
        assert play(policy, "c") == [None]
        assert held(policy) == "ab"
        assert policy.floor == 1.2  # the next one has it easier
        assert play(policy, "c") == [["a"]]  # a ghost: 1.2 + 2 * 4, against 8 and 8

    def test_a_large_one_is_weighed_against_the_dearest_of_its_victims(self) -> None:
        policy = GDGA(4)
        policy.on_insert("cheap", 2, 0)
        for now in range(1, 5):
            access(policy, "dear", 2, now)
        before = worth(policy, "cheap"), worth(policy, "dear")
        assert policy.on_insert("large", 4, 5) is None
        assert (worth(policy, "cheap"), worth(policy, "dear")) == before

    def test_size_counts_by_what_a_miss_costs(self) -> None:
        policy = GDGA(1000)
        policy.on_insert("a", 100, 0)
        assert worth(policy, "a") == pytest.approx(0.3 * (100 + 300) / 100)
        policy.on_insert("b", 300, 1)  # the mean is 200 now
        assert worth(policy, "b") == pytest.approx(0.3 * (300 + 600) / 300)

    def test_priority_is_a_factor(self) -> None:
        policy = GDGA(10)
        policy.on_insert("a", 1, 0, 1.0)
        policy.on_insert("b", 1, 0, 0.2)
        assert worth(policy, "b") == pytest.approx(0.2 * worth(policy, "a"))

    def test_counts_are_halved_after_twenty_requests_an_entry(self) -> None:
        policy = GDGA(10)
        play(policy, "a" * 20)
        assert worth(policy, "a") == 20 * 4
        play(policy, "a")
        assert worth(policy, "a") == 21 * 4
        play(policy, "a")
        assert worth(policy, "a") == pytest.approx((21 / 2 + 1) * 4)


def worth(policy: GDGA, key: str) -> float:
    return policy._worth.score(key)
