"""The graph learner: weekly graphs of the real years over Spark, one date of 7,000 nodes, and its peers on one graph.

    make bench-graph

Peers: the published primal-dual iteration at its working setting, and the same model in CVXPY, solved by CLARABEL.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from _measure import Measured, measure, real_prices

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/graph"
LOOK_BACKS, DEGREE, FEATURES = (252, 504, 756, 1008, 1260), 10, 8
LIMIT_SECONDS = 120  # for CVXPY


def main() -> int:
    prices = real_prices()
    shutil.rmtree(WORK, ignore_errors=True)
    rows = [weekly(["spark-submit", __file__, "weekly", str(prices)]), sparse([sys.executable, __file__, "sparse"])]
    for nodes in (64, 128, 342):
        rows += against([sys.executable, __file__, "peer"], nodes)
    WORK.with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n")
    for row in rows:
        print(row)
    return 0


def weekly(command: list[str]) -> dict:
    result, seen = finished(command, "weekly")
    return row(f"weekly graphs of {result['eras']} eras, {result['graphs']} solved", None, result, seen)


def sparse(command: list[str]) -> dict:
    result, seen = finished(command, "sparse")
    return row("7,000 nodes, one date, five look-backs", None, result, seen)


def against(command: list[str], nodes: int) -> list[dict]:
    ours, seen = finished([*command, "newton", str(nodes)], f"newton-{nodes}")
    out = []
    for peer in ("primal-dual", "cvxpy"):
        other, theirs = finished([*command, peer, str(nodes)], f"{peer}-{nodes}", LIMIT_SECONDS)
        out.append(row(f"one graph of {nodes} nodes", peer, ours, seen, other, theirs))
    return out


def row(case: str, peer: str | None, ours: dict, seen: Measured, other: dict | None = None,
        theirs: Measured | None = None) -> dict:  # fmt: skip
    ended = bool(other)
    return {"case": case, "peer": peer, "seconds": ours["seconds"], "peer_seconds": other["seconds"] if ended else None,
            "ratio": ours["seconds"] / other["seconds"] if ended else None, "peak_gb": round(seen.peak_gb, 2),
            "peer_peak_gb": round(theirs.peak_gb, 2) if theirs else None, "told": ours, "peer_told": other,
            "peer_note": None if ended or peer is None else f"not done after {LIMIT_SECONDS} s"}  # fmt: skip


def finished(command: list[str], name: str, limit: int | None = None) -> tuple[dict, Measured]:
    """What the child told, {} where it was stopped at the limit, and what it took."""
    seen = measure([*(["timeout", str(limit)] if limit else []), *command], WORK / f"{name}.log")
    lines = [line for line in seen.output.splitlines() if line.startswith("RESULT ")]
    if seen.exit_code == 124:
        return {}, seen
    if seen.exit_code or not lines:
        raise SystemExit(f"{name}: exit code {seen.exit_code}\n{seen.output[-2000:]}")
    print(f"{name}: {lines[-1]}, peak {seen.peak_gb:.2f} GB", flush=True)
    return json.loads(lines[-1].removeprefix("RESULT ")), seen


def weekly_child(prices: str) -> None:
    """Times the table `graphs` alone: prices and features are there before."""
    from pyspark.sql import functions as F

    from eraflow.config import load
    from eraflow.pipeline import signals_steps
    from eraflow.pipeline.site import Site
    from eraflow.pipeline.steps import Steps
    from eraflow.progress import shown
    from eraflow.session import session
    from eraflow.tables import Store

    spark = session("bench-graph")
    root = str(WORK / "tables")
    settings = [f"prices.path={prices}", f"tables.root={root}", "features.set=momentum", "network.relearn=weekly"]
    with shown() as progress:
        store = Store(spark, root)
        steps = list(signals_steps.steps(Site(store, load(["signals.yml"], settings), progress)).values())
        before = Steps(store, progress).taken(steps[:4])  # prices, quality, features, eras
        begun = time.monotonic()
        tables = Steps(store, progress).taken(steps[4:6], before)
        seconds = time.monotonic() - begun
    graphs, edges = tables["graphs"], tables["graph_edges"]
    each = store.read(graphs).select("era", "date", F.explode(F.arrays_zip("look_back", "look_back_nodes",
        "look_back_edges", "kkt", "gap")).alias("one")).select("era", "date", "one.*")  # fmt: skip
    totals = each.agg(F.count("*").alias("graphs"), F.countDistinct("era").alias("eras"), F.max("kkt").alias("kkt"),
                    F.max("gap").alias("gap"), F.max("look_back_nodes").alias("nodes"),
                    F.avg(2 * F.col("look_back_edges") / F.col("look_back_nodes")).alias("degree"))  # fmt: skip
    since = each.groupBy("look_back").agg(F.min("date").cast("string")).collect()  # a row a look-back
    stored = {"edges": store.read(edges).count(), "since": dict(sorted(map(tuple, since)))}
    tell(seconds, **totals.head().asDict(), **stored)
    spark.stop()


def sparse_child() -> None:
    from eraflow.graphs.history import Ensemble, History

    random, nodes = np.random.default_rng(0), 7000
    days = max(LOOK_BACKS)
    values = np.empty((nodes, days, FEATURES))
    factors = random.normal(size=(60, days * FEATURES))
    for node in values.reshape(nodes, -1):
        node[:] = 0.3 * random.normal(size=60) @ factors + random.normal(size=days * FEATURES)
    history = History(values, np.tile(np.arange(1, days + 1), (nodes, 1)), np.ones((nodes, days), dtype=bool))
    begun = time.monotonic()
    graph = history.graph(days - 1, Ensemble(LOOK_BACKS, DEGREE))
    assert graph
    parts = graph.graphs.values()
    tell(time.monotonic() - begun, degree=[round(part.degree, 2) for part in parts],
         kkt=max(part.certificate.kkt for part in parts), covered=min(part.covered for part in parts))  # fmt: skip


def peer_child(solver: str, nodes: int) -> None:
    from eraflow.graphs.distances import all_pairs, squared_distances
    from eraflow.graphs.learner import learn
    from eraflow.graphs.newton import newton
    from eraflow.graphs.objective import Objective
    from eraflow.graphs.primal_dual import primal_dual

    random = np.random.default_rng(1)
    loadings = random.normal(size=(nodes, 20)) * random.uniform(0.2, 1.0, size=(nodes, 1))
    rows = loadings @ random.normal(size=(20, 2000)) + random.normal(size=(nodes, 2000))
    distances = all_pairs(squared_distances(rows), 60)
    graph = learn(distances, DEGREE)
    objective = Objective(distances.edges, graph.theta * distances.z)
    begun = time.monotonic()
    if solver == "cvxpy":
        value, kkt = by_cvxpy(objective), None
    else:
        found = newton(objective) if solver == "newton" else primal_dual(objective)
        value, kkt = found.certificate.objective, found.certificate.kkt
    tell(time.monotonic() - begun, objective=value, kkt=kkt)


def by_cvxpy(objective: object) -> float:
    import cvxpy
    from scipy import sparse

    edges, count = objective.edges, len(objective.edges)
    ones, columns = np.ones(2 * count), np.tile(np.arange(count), 2)
    incidence = sparse.csr_array((ones, (np.concatenate([edges.first, edges.second]), columns)))
    w = cvxpy.Variable(count, nonneg=True)
    cost = 2.0 * objective.z @ w - cvxpy.sum(cvxpy.log(incidence @ w)) + cvxpy.sum_squares(w)
    return float(cvxpy.Problem(cvxpy.Minimize(cost)).solve(solver=cvxpy.CLARABEL))


def tell(seconds: float, **facts: object) -> None:
    print("RESULT", json.dumps({"seconds": round(seconds, 4), **facts}), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        raise SystemExit(main())
    child, *arguments = sys.argv[1:]
    match child:
        case "weekly":
            weekly_child(*arguments)
        case "sparse":
            sparse_child()
        case _:
            peer_child(arguments[0], int(arguments[1]))
