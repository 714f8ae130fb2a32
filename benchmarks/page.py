"""Write docs/performance.md from what the benchmarks printed: ``python benchmarks/page.py``.

Each section shows one file of benchmarks/results; the command above it makes that file again. Figures are never
typed by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"

INTRODUCTION = """# Performance

Every table below was printed by the command above it, in one run on one machine, ours and the peers in turn; medians
or best times are compared, never absolute times of different days. The machine is shared, so a difference under 15 %
is noise. `deltarule bench` measures our side alone.
"""


@dataclass(frozen=True)
class Section:
    """A heading, what to know before reading the figures, the command, the file that it wrote."""

    title: str
    text: str
    command: str
    file: str


SECTIONS = (
    Section(
        "Training",
        """The workloads are defined in [workloads.py](../src/deltarule/cli/workloads.py), the peers' versions in
[peers.py](../benchmarks/peers.py): PyTorch 2.13 eager (channels-last for images, the faster of its fused and foreach
optimisers), PyTorch with the whole step compiled, JAX with a whole epoch in one `lax.scan`, scikit-learn's MLP.
Float32, data in memory, whole epochs after the first. "Of sgemm" divides the operations of the textbook by the rate
of NumPy's 1024³ matrix product in the same run; it says little about W1, W5 and W13, which are bound by memory or
latency. PyTorch compiled and scikit-learn ran in the first round only. Memory is the peak of the whole process, data
included, ours and PyTorch's.""",
        "python benchmarks/compare.py --rounds 2 --peers torch jax --once torch-compiled sklearn "
        "--out benchmarks/results/training.json > benchmarks/results/training.md",
        "training.md",
    ),
    Section(
        "Inference (W10)",
        """One call from Python, with the array in hand. "Ours" is a compiled program, `dr.jit` the same through the
decorator. The best peer is the fastest of the three peers' columns.""",
        "python benchmarks/inference.py > benchmarks/results/inference.md",
        "inference.md",
    ),
    Section(
        "Classical learners (W11)",
        "Beside scikit-learn, same data, best of the rounds.",
        "python benchmarks/classical.py > benchmarks/results/classical.md",
        "classical.md",
    ),
    Section(
        "Many models in one program",
        "Explained in [many-models.md](many-models.md).",
        "python benchmarks/many.py > benchmarks/results/many.md",
        "many.md",
    ),
    Section(
        "Sampling noise",
        "What the random numbers of a step cost: the same step with zeros in their place.",
        "python benchmarks/noise.py > benchmarks/results/noise.md",
        "noise.md",
    ),
    Section(
        "Kernels",
        """Single contractions against oneDNN and MKL through PyTorch, GFLOP/s; a ratio above 1 is ours ahead. Tiles are
rows × vectors of accumulators.""",
        "python benchmarks/kernels.py > benchmarks/results/kernels.md",
        "kernels.md",
    ),
    Section(
        "Curves",
        """Samples per second over width, depth, batch size and threads, ours alone, with sizes between the powers of
two: a cliff would show as a point that falls out of its line.

![GFLOP/s over width](figures/performance-width.svg)
![GFLOP/s over batch size](figures/performance-batch-size.svg)
![GFLOP/s over depth](figures/performance-depth.svg)
![GFLOP/s over threads](figures/performance-threads.svg)""",
        "python benchmarks/curves.py > benchmarks/results/curves.md",
        "curves.md",
    ),
)


def _shown(text: str) -> str:
    """Return tables as they are, other output as it was printed."""
    return (
        text.strip()
        if text.lstrip().startswith(("|", "#")) or "\n|" in text
        else f"```text\n{text.rstrip()}\n```"
    )


def main() -> None:
    reading = (
        RESULTS / "reading.md"
    )  # what the figures say about the goals, written by who ran them
    parts = [
        INTRODUCTION,
        *([reading.read_text(encoding="utf-8")] if reading.exists() else []),
    ]
    for section in SECTIONS:
        path = RESULTS / section.file
        if path.exists():
            shown = _shown(path.read_text(encoding="utf-8"))
            parts.append(
                f"## {section.title}\n\n{section.text}\n\n```sh\n{section.command}\n```\n\n{shown}\n"
            )
    PAGE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
