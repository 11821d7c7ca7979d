"""The training benchmark: `python -m benchmarks.train [PART ...] --work FOLDER --peers PYTHON` writes docs/benchmarks/train.md.

Contestants take turns, each in a process of its own with one thread; medians of all rounds count, in CPU-seconds. Without
`--peers` an environment for them is made in the work folder. Results are kept there: a part that is not named keeps its last ones.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PEERS = ("hf_trainer", "sft_trl")
Told = list[dict[str, Any]]


def lines(python: Path, module: str, *arguments: object) -> Told:
    """What a contestant prints; raises CalledProcessError when it fails."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
    variables = {**os.environ, **dict.fromkeys(names, "1"), "GOMP_SPINCOUNT": "0", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [str(python), "-m", f"benchmarks.train.{module}", *(str(argument) for argument in arguments)]
    run = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.stderr.write(run.stderr)
        run.check_returncode()
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


class Bench:
    """Parts by name; each gives what its contestants told, round after round."""

    def __init__(self, work: Path, peers: Path, rounds: int) -> None:
        self.work, self.peers, self.rounds = work, peers, rounds

    def turns(self, place: str, steps: int, *contestants: str) -> Told:
        """`name` or `name kind` of each contestant, alternating."""
        told = []
        for _ in range(self.rounds):
            for contestant in contestants:
                module, _, kind = contestant.partition(" ")
                python = self.peers if module in PEERS else Path(sys.executable)
                told += lines(python, f"contestants.{module}", self.work / place, steps, *([kind] if kind else []))
                print(f"{place or 'sft'}: {contestant}: {told[-1].get('step', 0):.4f}", file=sys.stderr, flush=True)
        return told

    def pretrain(self) -> Told:
        return self.turns("small", 5, "ours", "hf_trainer", "nano", "bare")

    def overhead(self) -> Told:
        return self.turns("tiny", 128, "ours", "hf_trainer", "nano", "bare")

    def recompute(self) -> Told:
        return self.turns("deep", 4, "ours", "ours recompute")

    def saving(self) -> Told:
        return lines(Path(sys.executable), "contestants.saving", self.work / "small", 3)

    def sft(self) -> Told:
        return self.turns("", 4, "sft_ours", "sft_trl packed", "sft_trl unpacked")

    def cost(self) -> Told:
        return lines(Path(sys.executable), "optimizers", "cost", self.work)

    def loss(self) -> Told:
        return lines(Path(sys.executable), "optimizers", "loss", self.work)

    def ratio(self) -> Told:
        return lines(Path(sys.executable), "optimizers", "ratio", self.work)


PARTS = ("pretrain", "overhead", "recompute", "saving", "sft", "cost", "loss", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all when left out")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench_train")
    parser.add_argument("--peers", type=Path, help="the Python of an environment with transformers and trl")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    from benchmarks.train import page, peers, prepare

    work = given.work.resolve()
    if not (work / "sft").is_file():
        prepare.main(work)
    bench = Bench(work, given.peers or peers.main(work / "peers"), given.rounds)
    kept = work / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    for part in given.parts or PARTS:
        before = os.getloadavg()[0]
        results[part] = {"told": getattr(bench, part)(), "rounds": given.rounds, "load": max(before, os.getloadavg()[0])}
        kept.write_text(json.dumps(results))
    (ROOT / "docs" / "benchmarks" / "train.md").write_text(page.written(results), encoding="utf-8")


if __name__ == "__main__":
    main()
