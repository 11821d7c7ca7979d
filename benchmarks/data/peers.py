"""Virtual environments for the peers: each pins what it needs, so no two share one. `python -m benchmarks.data.peers` makes them.

What can't be installed here is said on the page and its rows are left out; nothing else depends on it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

PEERS = {
    "libraries": (
        "rensa==0.5.0",
        "gaoya==0.2.2",
        "datasketch==2.0.0",
        "polars==2.1.0",
        "duckdb==2.0.1",
        "pyarrow",
        "orjson==3.13.0",
        "xxhash==4.1.0",
    ),
    "tokens": (
        "tokenizers==0.23.3",
        "tiktoken==0.14.0",
        "gigatoken==0.10.0",
        "awkward==2.14.0",
        "gigabpe==0.1.0",
        "rustbpe==0.1.0",
        "bpeasy==0.1.6",
        "riptoken==0.2.4",
        "fastokens==0.3.5",
        "numpy",
    ),
    "datatrove": ("datatrove[processing]==0.10.1", "spacy==3.8.18", "orjson", "xxhash"),
    "dolma": ("dolma==1.2.1",),
    "textdedup": ("text-dedup==0.4.0",),
    "trl": ("trl==1.16.0", "torch==2.13.0", "datasets==5.2.0"),
}
"""Environment -> what is installed into it."""


def python_of(folder: Path, name: str) -> Path:
    """The interpreter of a peer's environment."""
    return folder / name / "bin" / "python"


def make(folder: Path, name: str) -> str:
    """Make the environment unless it stands; an empty text, or why it can't be made."""
    done = folder / name / "complete"
    if done.is_file() and done.read_text() == "\n".join(PEERS[name]):
        return ""
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    # uv resolves in seconds what pip tries for half an hour (dolma's pins).
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python_of(folder, name))]
    for command in ([sys.executable, "-m", "venv", "--clear", str(place)], [*install, *PEERS[name]]):
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            return (ran.stderr or ran.stdout).strip().splitlines()[-1]
    done.write_text("\n".join(PEERS[name]))
    return ""


def versions(folder: Path, name: str) -> dict[str, str]:
    """Package -> installed version, for the packages named above."""
    listed = subprocess.run(
        [str(python_of(folder, name)), "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True
    )
    found = dict(line.split("==", 1) for line in listed.stdout.splitlines() if "==" in line)
    names = [wanted.split("==")[0].split("[")[0] for wanted in PEERS[name]]
    return {package: found[package] for package in names if package in found}


def main() -> int:
    """A line for each environment; exit code 1 when one could not be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/peers"))
    parser.add_argument("names", nargs="*", default=list(PEERS))
    chosen = parser.parse_args()
    failed = 0
    for name in chosen.names:
        why = make(chosen.folder.absolute(), name)
        failed += bool(why)
        print(f"{name:10} {why or 'ready'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
