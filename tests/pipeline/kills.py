"""Runs the tiny recipe in forked children and kills them at random moments: `kills.py RECIPE FOLDER KILLS SECONDS SEED`.

The parent imports everything once and never runs a torch operation, so that a child can be forked in no time. The last
child is left alone; the exit code is its own.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

import ropewalk
from ropewalk.models import folder_module, gpt_module
from ropewalk.train import checkpoint, loop

LOADED = (folder_module, gpt_module, checkpoint, loop)


def attempt(recipe: str, folder: Path) -> int:
    """Fork a child that runs the recipe in the folder; returns its process id."""
    child = os.fork()
    if child:
        return child
    os.chdir(folder)
    code = 1
    try:
        torch.set_num_threads(1)
        ropewalk.load(recipe).run(quiet=True)
        code = 0
    finally:
        os._exit(code)


def main(recipe: str, folder: Path, kills: int, seconds: float, seed: int) -> int:
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    killed = 0
    for _ in range(kills):
        child = attempt(recipe, folder)
        time.sleep(draw.uniform(0.02, seconds))
        os.kill(child, signal.SIGKILL)
        killed += os.waitpid(child, 0)[1] == signal.SIGKILL
    sys.stdout.write(f"{killed} of {kills} children were killed while they ran\n")
    return os.waitstatus_to_exitcode(os.waitpid(attempt(recipe, folder), 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
