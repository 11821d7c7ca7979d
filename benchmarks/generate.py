"""Greedy generation against transformers' own, in one process and one thread: new tokens a CPU-second, batch 1 and 16.

python benchmarks/generate.py [--tokens 128] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ropewalk.models.folder_module import save_model
from ropewalk.models.generate_module import generate_rows
from ropewalk.models.gpt import GPT
from ropewalk.models.sampling import Sampling

VOCAB, PROMPT = 8192, 64
SHAPES = {
    "quickstart, 4.5M": (GPT(preset="gpt2-tiny"), 4096),
    "13.9M": (GPT(preset="gpt2-tiny", depth=6, width=384, heads=6, context=256), VOCAB),
}


def measure(work: Callable[[], list[list[int]]], rounds: int) -> tuple[float, list[list[int]]]:
    """(tokens a CPU-second of the best round, what was written)."""
    work()
    best, written = 0.0, []
    for _ in range(rounds):
        started = time.process_time()
        written = work()
        best = max(best, sum(map(len, written)) / (time.process_time() - started))
    return best, written


def main() -> None:
    from transformers import AutoModelForCausalLM

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    for name, (model, vocab_size) in SHAPES.items():
        module = model.build(vocab_size, 0).train(False)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
        with tempfile.TemporaryDirectory() as folder:
            save_model(Path(folder), module, None)
            theirs = AutoModelForCausalLM.from_pretrained(folder).train(False)
        for batch in (1, 16):
            prompts = torch.randint(0, vocab_size, (batch, PROMPT), generator=generator)
            options = {"max_new_tokens": wanted.tokens, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}

            def ours() -> list[list[int]]:
                return generate_rows(module, prompts.tolist(), Sampling(max_tokens=wanted.tokens))  # noqa: B023

            def peer() -> list[list[int]]:
                found = theirs.generate(prompts, attention_mask=torch.ones_like(prompts), **options)  # noqa: B023
                return found[:, PROMPT:].tolist()  # type: ignore[no-any-return]

            (fast, mine), (slow, other) = measure(ours, wanted.rounds), measure(peer, wanted.rounds)
            rates = {"ropewalk": round(fast, 1), "transformers": round(slow, 1), "times": round(fast / slow, 2)}
            print(json.dumps({"model": name, "batch": batch, **rates, "equal_texts": mine == other}))


if __name__ == "__main__":
    main()
