"""The one place where Redis keys are made.

All keys of a deployment share a hash tag, so that every script also runs on a cluster. Keys
of ``TRUTH`` have no expiry, so that no eviction policy of the server can take them; they are
trimmed by our own rules. Every other key has an expiry.
"""

from __future__ import annotations

import fnmatch
from typing import Final

#: Patterns, after the hash tag, of keys without expiry. The device keys are among them because
#: a ledger that the server may evict is no hard cap.
TRUTH: Final = (
    "clock",
    "marks",
    "log",
    "applied",
    "renewals",
    "fenced",
    "leases",
    "graph:*",
    "groups",
    "group:*",
    "groups_of:*",
    "subgroups:*",
    "pending:*",
    "requests",
    "bound",
    "contents:*",
    "contents_of:*",
    "inflight",
    "attempts",
    "prepared",
    "prepared:*",
    "due",
    "due:*",
    "dead",
    "dead:*",
    "lazy",
    "expired",
    "devices",
    "device:*",
    "tokens",
    "model:*",
    "known:*",
    "reconcile:state",
    "reconcile:todo",
    "reconcile:suspects",
    "reconcile:figures",
    "warm",
    "warm:*",
)


class Layout:
    """Key names of one deployment."""

    def __init__(self, deployment: str) -> None:
        self.prefix = f"{{{deployment}}}:"
        self.clock = self._key("clock")  # hash: incarnation, epoch, run id of the server
        self.marks = self._key("marks")  # zset: source -> epoch of its last invalidation
        self.log = self._key("log")  # stream, id <epoch>-0: what was invalidated, and why
        self.acks = self._key("applied")  # zset: node -> epoch applied: the membership
        self.waiting = self._key("waiting")  # zset: bell -> epoch that all have to have applied
        self.renewals = self._key("renewals")  # zset: node -> its last renewal, server's seconds
        self.fenced = self._key("fenced")  # set: nodes that get no lease any more
        self.leases = self._key("leases")  # hash: node -> its lease with the drift, seconds
        self.expiry = self._key("expiry")  # zset: key -> expiry, seconds
        self.bound = self._key("bound")  # set: namespaces that ever had a value on disk
        self.lazy = self._key("lazy")  # zset: key -> when its bytes became garbage
        self.expired = self._key("expired")  # set: keys whose dependents are to be invalidated
        self.groups = self._key("groups")  # zset: group -> when nobody names it any more
        self.graph_nodes = self._key("graph:nodes")  # set
        self.graph_log = self._key("graph:log")  # stream of changes
        self.graph_stats = self._key("graph:stats")  # hash, from the last refresh
        self.requests = self._key("requests")  # hash: id -> request that waits or is claimed
        self.inflight = self._key("inflight")  # zset: strategy|token|id -> deadline
        self.attempts = self._key("attempts")  # hash: id -> times claimed and not finished
        self.prepared = self._key("prepared")  # zset: id -> deadline, server's seconds
        self.released = self._key("prepared:released")  # zset: id -> when the sweep sends it
        self.prepared_requests = self._key("prepared:requests")  # hash: id -> request of both
        self.due = self._key("due")  # zset: id of work that failed -> when it is tried again
        self.due_work = self._key("due:work")  # hash: id -> work
        self.due_claims = self._key("due:claims")  # hash: id -> token of who is sending it
        self.due_bytes = self._key("due:bytes")  # integer: the bytes of all work
        self.dead = self._key("dead")  # zset: id of a dead letter -> when it died
        self.dead_letters = self._key("dead:letters")  # hash: id -> letter
        self.dead_figures = self._key("dead:figures")  # hash: last id, bytes, dropped for room
        self.records = self._key("records")  # zset: request id -> time
        self.devices = self._key("devices")  # set of ids
        self.tokens = self._key("tokens")  # hash: device -> hash of its token, and since when
        self.model_items = self._key("model:items")  # hash: digest of a path -> what is known of it
        self.model_queue = self._key("model:queue")  # list: those digests, the next to go first
        self.model_classes = self._key("model:classes")  # hash: relation, extensions -> rate
        self.model_outcomes = self._key("model:outcomes")  # hash: by what was predicted -> rate
        self.model_calibration = self._key("model:calibration")  # string: the rates of 50 bins
        self.warm_jobs = self._key("warm")  # zset: id of a warm job -> when it was begun, s
        self.activity = self._key("activity")  # hash: what each scheduled task last did
        self.sweep_lease = self._key("reconcile:lease")  # string: token of who sweeps the origin
        self.sweep_state = self._key("reconcile:state")  # hash: see core.ports.changes.Pass
        self.sweep_todo = self._key("reconcile:todo")  # list: what is left to do, next first
        self.sweep_suspects = self._key("reconcile:suspects")  # list: for its second phase
        self.sweep_figures = self._key("reconcile:figures")  # hash: counters of the pass
        self.watching = self._key("watching")  # hash: process of a watcher -> how it is, as JSON
        self.totals = self._key("totals")  # hash: sums of their figures

    def _key(self, rest: str) -> str:
        return self.prefix + rest

    def known(self, folder: str) -> str:
        """Hash: name in a folder of the origin -> digest of the version last told of."""
        return self._key(f"known:{folder}")

    def value(self, key: str) -> str:
        """String: a value of the Redis tier (see lua/fill.lua)."""
        return self._key(f"value:{key}")

    def binding(self, key: str) -> str:
        """String: which blob of the disk tier is the value of a key."""
        return self._key(f"binding:{key}")

    def pending(self, strategy: str) -> str:
        """Zset: request id -> when it was asked for."""
        return self._key(f"pending:{strategy}")

    def contents(self, strategy: str) -> str:
        """Hash: what a waiting request invalidates, as a digest -> its id."""
        return self._key(f"contents:{strategy}")

    def contents_of(self, strategy: str) -> str:
        """Hash: the opposite of ``contents``."""
        return self._key(f"contents_of:{strategy}")

    def leftover(self, request: str) -> str:
        """String: the seeds, a line each, of a request whose purge goes on in the background."""
        return self._key(f"leftover:{request}")

    def marked(self, request: str, part: int) -> str:
        """Hash: when, and for what, a part of a request was marked; so it is marked once."""
        return self._key(f"marked:{request}:{part}")

    def receipt(self, request: str) -> str:
        """String: a receipt as JSON."""
        return self._key(f"receipt:{request}")

    def group(self, group: str) -> str:
        """Set: the sources that a group stands for."""
        return self._key(f"group:{group}")

    def subgroups(self, group: str) -> str:
        """Set: those of them that are groups themselves."""
        return self._key(f"subgroups:{group}")

    def groups_of(self, source: str) -> str:
        """Set: the groups that a source belongs to."""
        return self._key(f"groups_of:{source}")

    def ended(self, request: str) -> str:
        """List: something to wait on until a request has ended."""
        return self._key(f"ended:{request}")

    def bell(self, name: str) -> str:
        """List: something to wait on until every node has applied an epoch."""
        return self._key(f"bell:{name}")

    def graph_out(self, key: str) -> str:
        """Set: what was derived from a key."""
        return self._key(f"graph:out:{key}")

    def graph_in(self, key: str) -> str:
        """Set: what a key was derived from."""
        return self._key(f"graph:in:{key}")

    def manifest(self, device: str) -> str:
        """Hash: path -> entry of a device."""
        return self._key(f"device:{device}:manifest")

    def device_state(self, device: str) -> str:
        """Hash: path -> what the eviction policy knows of it, held or only remembered."""
        return self._key(f"device:{device}:state")

    def rank(self, device: str, policy: str) -> str:
        """Zset: path -> what an eviction policy thinks it worth."""
        return self._key(f"device:{device}:rank:{policy}")

    def device_expires(self, device: str) -> str:
        """Zset: path -> when its lifetime has passed, seconds."""
        return self._key(f"device:{device}:expires")

    def ledger(self, device: str) -> str:
        """Hash: bytes used and reserved, and the quota as last enforced."""
        return self._key(f"device:{device}:ledger")

    def reservations(self, device: str) -> str:
        """Hash: path -> token, bytes and deadline of what is being fetched."""
        return self._key(f"device:{device}:reservations")

    def leaving(self, device: str) -> str:
        """Hash: token -> deadline, bytes and names of files that are being deleted."""
        return self._key(f"device:{device}:leaving")

    def device_stats(self, device: str) -> str:
        """Hash of counters."""
        return self._key(f"device:{device}:stats")

    def throttle(self, device: str) -> str:
        """Hash: how useful prefetching for a device has been of late (lua/prefetch_plan.lua)."""
        return self._key(f"device:{device}:throttle")

    def claim(self, device: str, path: str) -> str:
        """String: the token of who is to fetch a file for a device."""
        return self._key(f"claim:{device}:{path}")

    def places(self, of: str, name: str) -> str:
        """Zset: token -> until when (s) a fetch for a device, or from an origin, goes on."""
        return self._key(f"places:{of}:{name}")

    def away(self, origin: str) -> str:
        """String: there while an origin that could not be read is left alone."""
        return self._key(f"away:{origin}")

    def away_times(self, origin: str) -> str:
        """Integer: how often in a row it could not be read."""
        return self._key(f"away_times:{origin}")

    def warm_job(self, job: str) -> str:
        """Hash: state and counts of a warm job."""
        return self._key(f"warm:{job}")

    def warm_places(self, job: str) -> str:
        """List: folders to be looked into, the next one last."""
        return self._key(f"warm:{job}:places")

    def warm_items(self, job: str) -> str:
        """List: paths to be fetched, some thousands at a time."""
        return self._key(f"warm:{job}:items")

    def warm_claims(self, job: str) -> str:
        """Hash: token -> deadline of a claim, and what is left of it."""
        return self._key(f"warm:{job}:claims")

    def pins(self, device: str) -> str:
        """Hash: path -> bytes of what is pinned, 0 while it is not held."""
        return self._key(f"device:{device}:pins")

    def changes(self, device: str) -> str:
        """Zset: path -> number of its last change in the manifest."""
        return self._key(f"device:{device}:changes")

    def reports(self, device: str) -> str:
        """Zset: id of a report -> when it came, seconds since 1970."""
        return self._key(f"reports:{device}")

    def said(self, device: str) -> str:
        """String: what a device last said of itself, as JSON."""
        return self._key(f"said:{device}")

    def policy_figures(self, device: str) -> str:
        """Hash: what an eviction policy knows of a device."""
        return self._key(f"device:{device}:policy")

    def ghosts(self, device: str) -> str:
        """List: paths that were evicted or refused and are remembered, the oldest first."""
        return self._key(f"device:{device}:ghosts")

    def events(self, device: str) -> str:
        """List: the last events, newest first."""
        return self._key(f"events:{device}")

    def history(self, device: str) -> str:
        """String: what a device read last, and what was predicted then."""
        return self._key(f"history:{device}")

    def incoming(self, token: str, key: str) -> str:
        """Where a key of the model is made before it takes the place of the old one."""
        return self._key(f"incoming:{token}:{key.removeprefix(self.prefix)}")

    def is_truth(self, key: str) -> bool:
        """Whether a key of this deployment is one that must not expire."""
        rest = key.removeprefix(self.prefix)
        return any(fnmatch.fnmatchcase(rest, pattern) for pattern in TRUTH)
