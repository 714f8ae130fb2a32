"""Ours beside the peers, interleaved in one window: ``python benchmarks/compare.py [W1 …] [--rounds 3] [--threads 2]``.

Each round runs every engine once for each workload, in its own process, one after the other; medians over the
rounds are compared, so that a slow minute of a shared machine slows all of them. Writes results as JSON beside the
table.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ALL = ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W12", "W13"]
PEERS = ["torch", "torch-compiled", "jax", "jax-step", "sklearn"]


def sgemm_gflops(threads: int) -> float:
    """Return the best rate of a 1024³ product of NumPy's BLAS in a process of its own."""
    code = (
        "import time, numpy as np\n"
        "a = np.random.rand(1024, 1024).astype('f'); best = 0.0\n"
        "for _ in range(40):\n"
        "    t = time.perf_counter(); a @ a; best = max(best, 2 * 1024**3 / (time.perf_counter() - t))\n"
        "print(best / 1e9)"
    )
    env = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
    return float(
        subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True
        ).stdout
    )


def run(command: list[str], limit: float) -> dict[str, Any]:
    """Run one measurement; return its figures, or {} where it failed or took too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, cwd=HERE.parent
        )
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, json.JSONDecodeError, IndexError):
        return {}
    return answer[0] if isinstance(answer, list) else answer


def measure(
    workloads: list[str],
    peers: list[str],
    once: list[str],
    rounds: int,
    threads: int,
    seconds: float,
) -> dict[str, Any]:
    """Return, for each workload and engine, the figures of every round (of the first only, for peers in ``once``)."""
    results: dict[str, Any] = {
        w: {e: [] for e in ["deltarule", *peers, *once]} for w in workloads
    }
    for turn in range(rounds):
        for workload in workloads:
            ours = [
                sys.executable,
                "-m",
                "deltarule",
                "bench",
                workload,
                "--threads",
                str(threads),
                "--seconds",
                str(seconds),
                "--json",
            ]
            for engine in ["deltarule", *peers, *(once if turn == 0 else [])]:
                theirs = [
                    sys.executable,
                    str(HERE / "peers.py"),
                    engine,
                    workload,
                    str(threads),
                    str(seconds),
                ]
                row = run(ours if engine == "deltarule" else theirs, 180)
                if row.get("samples_per_second"):
                    results[workload][engine].append(row)
                    print(
                        workload,
                        engine,
                        f"{row['samples_per_second']:,.0f}",
                        file=sys.stderr,
                        flush=True,
                    )
    return results


def median(rows: list[dict[str, Any]], key: str) -> float | None:
    """Return the median of a figure over the rounds."""
    values = [row[key] for row in rows if row.get(key) is not None]
    return statistics.median(values) if values else None


def table(results: dict[str, Any], peers: list[str], peak: float) -> list[str]:
    """Return the comparison as Markdown."""
    lines = [
        "| workload | ours | GFLOP/s | of sgemm | "
        + " | ".join(peers)
        + " | × best peer | × torch eager "
        "| compile (cached) | memory, torch's |",
        "|---|---|---|---|" + "---|" * (len(peers) + 4),
    ]
    ratios, eager = [], []
    for workload, engines in results.items():
        ours = median(engines["deltarule"], "samples_per_second")
        if ours is None:
            continue
        speeds = {
            peer: median(engines.get(peer, []), "samples_per_second") for peer in peers
        }
        best = max((s for s in speeds.values() if s), default=None)
        rate = median(engines["deltarule"], "gflops") or 0.0
        compiling = [
            median(engines["deltarule"], f"compile_seconds{kind}") or 0.0
            for kind in ("", "_cached")
        ]
        memory = [
            median(engines.get(e, []), "peak_rss_mb") for e in ("deltarule", "torch")
        ]
        if best:
            ratios.append(ours / best)
        if speeds.get("torch"):
            eager.append(ours / speeds["torch"])
        cells = [workload, f"{ours:,.0f}", f"{rate:.0f}", f"{100 * rate / peak:.0f} %"]
        cells += [f"{speeds[p]:,.0f}" if speeds[p] else "–" for p in peers]
        cells += [f"**{ours / best:.2f}**" if best else "–"]
        cells += [f"{ours / speeds['torch']:.1f}" if speeds.get("torch") else "–"]
        cells += [f"{compiling[0]:.2f} s ({1000 * compiling[1]:.0f} ms)"]
        cells += [", ".join(f"{m:.0f}" if m else "–" for m in memory) + " MB"]
        lines.append("| " + " | ".join(cells) + " |")
    if ratios:
        lines.append("")
        lines.append(
            f"Geometric means: {np.exp(np.mean(np.log(ratios))):.2f} × the best peer of each, "
            f"{np.exp(np.mean(np.log(eager))):.2f} × torch eager."
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=ALL)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument(
        "--peers", nargs="*", default=["torch", "jax", "sklearn"], choices=PEERS
    )
    parser.add_argument(
        "--once",
        nargs="*",
        default=[],
        choices=PEERS,
        help="peers measured in the first round only",
    )
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    parser.add_argument(
        "--add",
        action="store_true",
        help="add the rounds (0: none) to those in the file of --out",
    )
    options = parser.parse_args()
    peak = sgemm_gflops(options.threads)
    results = measure(
        options.workloads,
        options.peers,
        options.once,
        options.rounds,
        options.threads,
        options.seconds,
    )
    peak = max(peak, sgemm_gflops(options.threads))
    if options.add:
        before = json.loads(options.out.read_text())
        peak = max(peak, before["sgemm_gflops"])
        for workload, engines in before["results"].items():
            for engine, rows in engines.items():
                results.setdefault(workload, {}).setdefault(engine, [])[:0] = rows
        results = {name: results[name] for name in ALL if name in results}
    header = (
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, {options.threads} threads, "
        f"sgemm {peak:.0f} GFLOP/s, interleaved rounds; samples per second, "
        "medians."
    )
    shown = [
        peer for peer in PEERS if any(engines.get(peer) for engines in results.values())
    ]
    lines = [header, "", *table(results, shown, peak)]
    print("\n".join(lines))
    options.out.write_text(
        json.dumps(
            {"header": header, "sgemm_gflops": peak, "results": results}, indent=1
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
