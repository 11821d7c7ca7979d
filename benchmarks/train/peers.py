"""Makes the peers' environment: `python -m benchmarks.train.peers FOLDER`; pip's own settings and environment hold as always.

The versions are those that were measured together; torch is the one that ropewalk's lock was tested with.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = ("torch==2.13.0", "transformers==5.24.0", "trl==1.16.0", "accelerate==1.15.0", "datasets==5.2.0", "safetensors", "numpy")


def main(folder: Path) -> Path:
    """The interpreter of the environment, which is made where it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
