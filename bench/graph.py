"""The dependency graph: what a batch reaches and in which order, beside rustworkx and networkx."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import networkx as nx
import numpy as np
import numpy.typing as npt
import rustworkx as rx

from bench import graph_memory
from bench.graph_memory import DEPTH, SEEDS, name_of
from bench.harness import MIN_ROUNDS, Options, Spread
from bench.machine import Machine
from bench.report import Figure, Report
from bench.servers import Bed, bed
from cachekeeper.core.graph.arrays import GraphArrays
from cachekeeper.core.graph.digraph import SnapshotGraph
from cachekeeper.core.graph.reach import reach
from cachekeeper.services.snapshot import GraphSnapshot
from cachekeeper.store.graph_files import GraphFiles

SEED: Final = 11  # of the random numbers: every run sees the same graphs
Edges = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    nodes: int
    edges: int
    rounds: int
    singles: int
    changes: int


FULL: Final = Sizes(1_000_000, 3_000_000, MIN_ROUNDS, 500, 1000)
QUICK: Final = Sizes(50_000, 150_000, MIN_ROUNDS, 200, 1000)


def run(options: Options) -> Report:
    """Measure with the sizes that were asked for."""
    sizes = QUICK if options.quick else FULL
    with bed() as server, TemporaryDirectory(prefix="cachekeeper-bench-") as folder:
        machine = Machine.here(server.engine)
        names = [name_of(number) for number in range(sizes.nodes)]
        dag, power = _dag(sizes), _power_law(sizes)
        files = GraphFiles(Path(folder), "bench")
        with server.cache(memory_bytes=0) as cache:
            graph = cache.stores.graph
            graph.link(names[1], [names[0]])  # so that the log of changes has a position
            file = files.write(_arrays(dag, names), graph.position(), time.time())
            figures = [
                *_against("dag", SnapshotGraph.on(file.arrays), dag, names, sizes),
                *_against("power", SnapshotGraph.on(_arrays(power, names)), power, names, sizes),
                _single(SnapshotGraph.on(file.arrays), names, sizes),
                _catch_up(GraphSnapshot(graph, files, time.time), server, names, sizes),
            ]
        del file
        gc.collect()
        figures += graph_memory.figures(server, Path(folder), sizes.nodes)
    figures += [
        Figure("nodes", sizes.nodes, "in each graph"),
        Figure("edges", len(dag), "in the DAG, each once"),
    ]
    return Report("graph", machine, options.quick, asdict(sizes), figures)


def _dag(sizes: Sizes) -> Edges:
    """Edges between any two keys, from the lower number to the higher one."""
    pairs = np.random.default_rng(SEED).integers(0, sizes.nodes, (sizes.edges, 2))
    return _once(np.sort(pairs, axis=1))


def _power_law(sizes: Sizes) -> Edges:
    """Few keys that much was derived from, many that little was (exponent 0.8), with cycles."""
    random = np.random.default_rng(SEED)
    share = np.arange(1, sizes.nodes + 1) ** -0.8
    bounds = np.cumsum(share / share.sum())
    drawn = np.searchsorted(bounds[:-1], random.random(sizes.edges))
    sources = random.permutation(sizes.nodes)[drawn]
    return _once(np.stack([sources, random.integers(0, sizes.nodes, sizes.edges)], axis=1))


def _once(pairs: Edges) -> Edges:
    """No edge twice, none from a key to itself, in no order."""
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return np.random.default_rng(SEED).permutation(pairs)


def _arrays(edges: Edges, names: list[str]) -> GraphArrays:
    return GraphArrays.of((names[u], names[v]) for u, v in edges.tolist())


def _against(
    kind: str, ours: SnapshotGraph, edges: Edges, names: list[str], sizes: Sizes
) -> list[Figure]:
    """A batch of seeds, to the list of keys in order: seconds, ours / theirs, round by round."""
    rust = _rustworkx(edges, names)
    plain: nx.DiGraph = nx.DiGraph()
    plain.add_nodes_from(names)
    plain.add_edges_from((names[u], names[v]) for u, v in edges.tolist())
    acyclic = kind == "dag"
    random = np.random.default_rng(SEED)
    ratios: dict[str, list[float]] = {"rustworkx": [], "networkx": []}
    batch_ms, found = list[float](), list[str]()
    gc.collect()
    for _ in range(sizes.rounds + 1):
        seeds = random.integers(0, sizes.nodes, SEEDS).tolist()
        wanted = [names[seed] for seed in seeds]
        our_s, found = _timed(_by_us, ours, wanted)
        rust_s, other = _timed(_by_rustworkx, rust, seeds, acyclic)
        if not batch_ms:  # to warm up; the slow one needs none
            batch_ms.append(our_s)
            continue
        plain_s, third = _timed(_by_networkx, plain, wanted, acyclic)
        if not set(found) == set(other) == set(third):
            raise RuntimeError(f"{kind}: not the same keys were found")
        ratios["rustworkx"].append(our_s / rust_s)
        ratios["networkx"].append(our_s / plain_s)
        batch_ms.append(1000 * our_s)
    what = f"time of a batch of {SEEDS} seeds, {len(found):,} keys in order / "
    return [
        Figure.median(f"{kind}_vs_{peer}", Spread.of(rounds), what + peer)
        for peer, rounds in ratios.items()
    ] + [Figure.median(f"{kind}_batch_ms", Spread.of(batch_ms[1:]), "ours", "ms")]


def _rustworkx(edges: Edges, names: list[str]) -> rx.PyDiGraph[str, None]:
    graph: rx.PyDiGraph[str, None] = rx.PyDiGraph(multigraph=False)
    graph.add_nodes_from(names)
    graph.add_edges_from_no_data([(u, v) for u, v in edges.tolist()])
    return graph


def _by_us(graph: SnapshotGraph, seeds: list[str]) -> list[str]:
    return list(reach(graph, seeds, DEPTH).order)


def _by_rustworkx(graph: rx.PyDiGraph[str, None], seeds: list[int], acyclic: bool) -> list[str]:
    """By its native calls. Walking level by level in Python takes about twice as long."""
    layers = rx.bfs_layers(graph, seeds)[: DEPTH + 1]  # all of them are searched
    inside = graph.subgraph([*chain.from_iterable(layers)])
    if acyclic:
        return [inside[node] for node in rx.topological_sort(inside)]
    groups = reversed(rx.strongly_connected_components(inside))  # given targets first
    return [inside[node] for group in groups for node in group]


def _by_networkx(graph: nx.DiGraph, seeds: list[str], acyclic: bool) -> list[str]:
    layers = islice(nx.bfs_layers(graph, seeds), DEPTH + 1)
    inside = graph.subgraph(chain.from_iterable(layers))
    if acyclic:
        return list(nx.topological_sort(inside))
    condensed = nx.condensation(inside)
    members = condensed.nodes(data="members")
    return [key for group in nx.topological_sort(condensed) for key in members[group]]


def _timed(call: Callable[..., list[str]], *arguments: Any) -> tuple[float, list[str]]:
    begin = time.perf_counter()
    found = call(*arguments)
    return time.perf_counter() - begin, found


def _single(graph: SnapshotGraph, names: list[str], sizes: Sizes) -> Figure:
    picks = np.random.default_rng(SEED).integers(0, sizes.nodes, sizes.singles).tolist()
    rounds = []
    for _ in range(sizes.rounds):
        took = [_timed(_by_us, graph, [names[pick]])[0] for pick in picks]
        rounds.append(1000 * float(np.median(took)))
    return Figure.median("single_ms", Spread.of(rounds), "one seed on the DAG, median", "ms")


def _catch_up(snapshot: GraphSnapshot, server: Bed, names: list[str], sizes: Sizes) -> Figure:
    """From the log in Redis to a graph that can be used."""
    random = np.random.default_rng(SEED)
    rounds = []
    with snapshot.current():
        pass  # the file is mapped
    with server.cache(memory_bytes=0) as cache:
        for _ in range(sizes.rounds):
            for u, v in random.integers(0, sizes.nodes, (sizes.changes, 2)).tolist():
                cache.stores.graph.link(names[v], [names[u]], more=True)
            begin = time.perf_counter()
            with snapshot.current():
                rounds.append(1000 * (time.perf_counter() - begin))
    what = f"{sizes.changes} changes, read from the log and applied"
    return Figure.median("catchup_1000_ms", Spread.of(rounds), what, "ms")
