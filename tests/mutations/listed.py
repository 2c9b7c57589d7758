"""The mutations: what is changed where, and which test has to fail for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LUA: Final = "src/cachekeeper/store/redis/lua"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of the text of one file; ``old`` stands there exactly once.

    ``letter`` is the invariant's: T stamps, M mark, W wide fan-in, Z trimming, S strict,
    R rollback, B batches, G graph, D disk and devices, K keys, O a full server.
    """

    name: str
    letter: str
    breaks: str  # the invariant, in a sentence
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _tests(module: str, test: str) -> tuple[str, ...]:
    return (f"tests/contract/{module}.py::{test}",)


LISTED: Final = (
    Mutation(
        "read-unchecked",
        "T",
        "A read tests every source of a value against the marks.",
        f"{LUA}/parts/record.lua",
        "if found[i] and tonumber(found[i]) > as_of then",
        "if false then",
        _tests("test_tiers", "test_a_value_is_stale_once_any_of_its_sources_is_marked[redis-key]"),
    ),
    Mutation(
        "fill-unchecked",
        "T",
        "A fill that overlaps an invalidation stores nothing.",
        f"{LUA}/fill.lua",
        "if mark and tonumber(mark) > as_of then",
        "if false then",
        _tests("test_tiers", "test_a_fill_that_comes_too_late_is_refused"),
    ),
    Mutation(
        "marked-twice",
        "M",
        "A request that is delivered again has its effect once.",
        f"{LUA}/mark.lua",
        "if before[1] and before[1] == incarnation then",
        "if false then",
        _tests("test_upkeep", "test_a_request_that_is_delivered_twice_has_its_effect_once"),
    ),
    Mutation(
        "members-forgotten",
        "W",
        "Marking a member marks the groups that stand for it.",
        f"{LUA}/mark.lua",
        "redis.call('SMEMBERS', ARGV[8] .. sources[i])",
        "{}",
        _tests(
            "test_groups", "test_whatever_it_was_made_from_makes_it_stale_and_what_is_made_of_it"
        ),
    ),
    Mutation(
        "marks-trimmed-early",
        "Z",
        "A mark stays for as long as a value that is older may live.",
        "workers/wiring.py",
        "longest_life_s=longest + DAY_S,",
        "longest_life_s=-1.0,",
        _tests("test_upkeep", "test_marks_last_as_long_as_a_value_made_before_them_may"),
    ),
    Mutation(
        "lease-not-outwaited",
        "S",
        "A node that is silent is taken off the list only when its lease has passed.",
        "src/cachekeeper/services/confirm.py",
        "time.sleep(self._nodes.outwait_s(fenced))",
        "pass",
        _tests("test_fences", "test_strict_outwaits_a_node_that_does_not_answer_and_names_it"),
    ),
    Mutation(
        "lease-for-ever",
        "S",
        "Memory serves nothing once its lease has lapsed.",
        "src/cachekeeper/store/memory.py",
        "if found is None or self._clock() >= self.lease_until:",
        "if found is None:",
        _tests("test_server_away", "TestDown::test_memory_serves_until_its_lease_is_over"),
    ),
    Mutation(
        "fenced-renewed",
        "S",
        "A node that was fenced is granted no lease.",
        f"{LUA}/renew.lua",
        "redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 1",
        "false",
        _tests(
            "test_fences", "test_a_fenced_node_gets_no_lease_and_comes_back_empty_under_a_new_name"
        ),
    ),
    Mutation(
        "run-id-unseen",
        "R",
        "A server that was restarted begins a new incarnation.",
        f"{LUA}/clock.lua",
        "if clock[3] == ARGV[1] and not",
        "if clock[3] and not",
        _tests(
            "test_incarnations", "test_after_a_restart_no_older_value_is_reachable_memory_included"
        ),
    ),
    Mutation(
        "no-grace",
        "R",
        "No strict request succeeds while leases of the last incarnation may be held.",
        "src/cachekeeper/services/confirm.py",
        "return self._longest_s - self._known_for(incarnation)",
        "return 0.0",
        _tests(
            "test_fences",
            "test_the_first_strict_of_an_incarnation_outwaits_leases_that_nobody_remembers",
        ),
    ),
    Mutation(
        "any-token",
        "B",
        "Only who claimed a request may say that it is done.",
        f"{LUA}/complete.lua",
        "'|' .. ARGV[i]) == 1 then",
        "'|' .. ARGV[i]) >= 0 then",
        _tests("test_pending", "test_only_its_claimer_may_say_that_a_request_is_done"),
    ),
    Mutation(
        "claims-lost",
        "B",
        "What a dead worker had claimed waits again.",
        f"{LUA}/requeue.lua",
        "redis.call('ZADD', ARGV[4] .. strategy, now, id)",
        "",
        _tests("test_pending", "test_what_a_dead_worker_claimed_waits_again_and_its_token_is_void"),
    ),
    Mutation(
        "no-edges",
        "G",
        "The fill that stores a value stores its edges.",
        f"{LUA}/fill.lua",
        "if #inputs > 0 or redis.call('EXISTS', graph.into .. key) == 1 then",
        "if false then",
        _tests("test_ways", "test_of_what_is_stored_as_it_was_read_the_edge_is_enough"),
    ),
    Mutation(
        "reserved-uncounted",
        "D",
        "Bytes that are reserved count against the quota before they are written.",
        f"{LUA}/device_reserve.lua",
        "(known[1] or 0) + (known[2] or 0) + size - quota",
        "(known[1] or 0) + size - quota",
        ("tests/property/test_ledger_model.py",),
    ),
    Mutation(
        "links-followed",
        "D",
        "Nothing on the disk of a host is reached through a link.",
        "src/cachekeeper/beneath.py",
        "_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW |",
        "_FOLDER = os.O_RDONLY | os.O_DIRECTORY |",
        ("tests/property/test_paths.py::test_whatever_is_planted_nothing_leads_out",),
    ),
    Mutation(
        "receipts-for-ever",
        "K",
        "A key that is no truth has an expiry.",
        f"{LUA}/save_receipts.lua",
        "receipt, 'EX', ARGV[1])",
        "receipt)",
        _tests("test_upkeep", "test_a_request_that_is_delivered_twice_has_its_effect_once"),
    ),
    Mutation(
        "marks-need-room",
        "O",
        "Marking works when the server is full.",
        f"{LUA}/mark.lua",
        "#!lua flags=allow-oom\n",
        "#!lua\n",
        _tests("test_server_away", "TestFull::test_what_is_marked_is_stale_everywhere"),
    ),
)
