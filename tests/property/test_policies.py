"""Every policy, whatever it is asked: never above its capacity, and it holds what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachekeeper.core.policy import POLICIES, make

keys = st.sampled_from([f"k{i}" for i in range(12)])
accesses = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "read", "read", "remove", "evict"]),
        keys,
        st.integers(0, 60),
        st.sampled_from([1.0, 0.8, 0.5, 0.2]),
    ),
    max_size=80,
)


@pytest.mark.parametrize("name", POLICIES)
@given(capacity=st.integers(1, 150), accesses=accesses)
def test_its_account_is_that_of_a_plain_dictionary(
    name: str, capacity: int, accesses: list[tuple[str, str, int, float]]
) -> None:
    """A dictionary that does what the policy says holds just what the policy says it holds."""
    policy = make(name, capacity)
    held: dict[str, int] = {}
    for now, (what, key, size, weight) in enumerate(accesses):
        assert (key in policy) == (key in held)
        if what == "evict":
            for victim in policy.evict(size):
                del held[victim]
            assert capacity - sum(held.values()) >= size or not held
        elif what == "remove":
            if held.pop(key, None) is not None:
                policy.on_remove(key)
        elif key in held:
            held[key] = size
            for victim in policy.on_hit(key, size, now):
                del held[victim]
        else:
            victims = policy.on_insert(key, size, now, weight)
            if victims is not None:
                for victim in victims:
                    del held[victim]
                held[key] = size
            else:
                assert key not in policy
        assert policy.used == sum(held.values()) <= policy.capacity == capacity
        assert len(policy) == len(held)
        assert all(key in policy for key in held)


@pytest.mark.parametrize("name", POLICIES)
@given(accesses=accesses)
def test_what_is_larger_than_the_capacity_is_refused_and_nothing_goes(
    name: str, accesses: list[tuple[str, str, int, float]]
) -> None:
    policy = make(name, 100)
    for now, (_, key, size, weight) in enumerate(accesses):
        if key not in policy:
            policy.on_insert(key, size, now, weight)
    before, used = len(policy), policy.used
    assert policy.on_insert("large", 101, 1000) is None
    assert (len(policy), policy.used) == (before, used)


@pytest.mark.parametrize("name", POLICIES)
def test_everything_that_fits_is_kept(name: str) -> None:
    policy = make(name, 100)
    for i in range(9):  # W-TinyLFU keeps a hundredth for its window
        victims = policy.on_insert(f"k{i}", 10, i)
        assert victims is not None
        assert not victims
    assert len(policy) == 9
