"""DPO on the same rows from one start: ropewalk's train stage and TRL's DPOTrainer; tokens a CPU-second and peak memory.

    python -m benchmarks.train.dpo FOLDER --peer PYTHON     (an environment with trl, datasets and transformers)

13.9M parameters of GPT-2's shape, 8 pairs an update, fp32, AdamW at one rate, one thread. The rows are functions of Python's
library: signature and docstring, the body, and the body of the next function. Tokens are those of both answers with their prompts.
TRL runs its reference in each step, and with its log-probabilities made before, as ropewalk has them.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RATE, BETA, CLIP, PAIRS, LENGTH = 1e-4, 0.1, 1.0, 8, 256
OPENING = "<|endoftext|>### User:\n{prompt}\n\n### Assistant:\n"
RECIPE = """
format: 1
name: dpo
seed: 7
store: {folder}/store
runs: {folder}/runs
stages:
  raw: {{type: load, source: {{type: jsonl, path: {folder}/texts.jsonl}}}}
  vocab: {{type: tokenizer, input: raw, size: 8192, special: chatml}}
  wishes: {{type: pairs, source: {{type: jsonl, path: {folder}/pairs.jsonl}}}}
  answers: {{type: render_pairs, input: wishes, tokenizer: vocab, template: plain, length: {length}}}
"""
TRAIN = """
format: 1
name: ours
seed: 7
store: {folder}/{name}
runs: {folder}/{name}
stages:
  refs: {{type: logprobs, model: "path:{folder}/model", data: "path:{data}"}}
  trained:
    type: train
    task: {{type: dpo, beta: {beta}, reference: refs}}
    data: path:{data}
    init: path:{folder}/model
    optimizer: {{type: adamw, lr: {rate}, weight_decay: 0, beta2: 0.999}}
    schedule: {{type: constant, warmup: 0}}
    clip: {clip}
    budget: {{steps: {steps}}}
    batch: {{sequences: {pairs}}}
    result: last
    threads: 1
"""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rows() -> Iterator[dict[str, str]]:
    """(prompt, chosen) of the library's functions, rejected the next one's body."""
    root, found = Path(sysconfig.get_paths()["stdlib"]), []
    for path in [*sorted(root.glob("*.py")), *sorted((root / "email").glob("*.py")), *sorted((root / "asyncio").glob("*.py"))]:
        text = path.read_text("utf-8", "ignore")
        lines = text.splitlines(True)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) and len(node.body) > 1:
                start, body = node.lineno - 1, node.body[1].lineno - 1
                prompt, answer = "".join(lines[start:body]).strip(), "".join(lines[body : node.end_lineno]).strip()
                if prompt and 20 <= len(answer) <= 480 and len(prompt) <= 480:
                    found.append((prompt, answer))
    for number, (prompt, answer) in enumerate(found):
        yield {"id": str(number), "prompt": prompt, "chosen": answer, "rejected": found[(number + 1) % len(found)][1]}


def prepare(folder: Path, steps: int) -> None:
    """Tokens, a random start model, and the rows in the loader's order for the peer."""
    import torch

    import ropewalk
    from ropewalk.core.seed import derive
    from ropewalk.data.loader import Loader
    from ropewalk.models.folder_module import save_model
    from ropewalk.models.gpt import GPT

    folder.mkdir(parents=True, exist_ok=True)
    known = {row["id"]: row for row in rows()}
    chosen = list(known.values())[:: len(known) // (2 * PAIRS * steps)]  # twice what is seen: some are too long
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen))
    texts = [{"id": id_, "text": f"{row['prompt']}\n{row['chosen']}"} for id_, row in known.items()]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    run = ropewalk.loads(RECIPE.format(folder=folder, length=LENGTH)).run(quiet=True)
    tokens: Any = run["answers"]
    module = GPT(preset="gpt2-tiny", depth=6, width=384, heads=6, context=LENGTH).build(8192, 7)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.02, generator=generator)
    save_model(folder / "model", module, run["vocab"].path)
    loader = Loader(tokens, "train", PAIRS, derive(7, "order"))
    ids = tokens.documents["id"].to_pylist()
    order = [ids[2 * sequence] for step in range(steps) for sequence in loader.indices(step).tolist()]
    seen = [{**known[id_], "prompt": OPENING.format(prompt=known[id_]["prompt"])} for id_ in order]
    (folder / "rows.json").write_text(json.dumps(seen))
    sizes = [int((loader.at(step).documents != 0).sum()) + 2 * PAIRS for step in range(steps)]
    (folder / "work.json").write_text(json.dumps({"data": str(tokens.path), "tokens": sizes}))


def ours(folder: Path, steps: int) -> None:
    import ropewalk
    from ropewalk.core.events import Event, Started, StepEnded

    times, losses = list[float](), list[float]()
    peak = [0.0]

    def hear(event: Event) -> None:
        if isinstance(event, Started | StepEnded):
            times.append(cpu_seconds())
        if isinstance(event, StepEnded):
            losses.append(event.loss)
            peak[0] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    data = json.loads((folder / "work.json").read_text())["data"]
    shutil.rmtree(folder / "ours", ignore_errors=True)
    fields = {"folder": folder, "name": "ours", "data": data, "beta": BETA, "rate": RATE, "clip": CLIP, "steps": steps, "pairs": PAIRS}
    ropewalk.loads(TRAIN.format(**fields)).run(quiet=True, listeners=[hear])
    tell(times, losses, peak[0])


def trl(folder: Path, steps: int, before: bool) -> None:
    """With TRL's defaults that cost time on a CPU switched off: bf16, recomputed activations."""
    import contextlib
    import io
    import tempfile

    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", HF_DATASETS_DISABLE_PROGRESS_BARS="1")
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    torch.set_num_threads(1)
    times, losses = list[float](), list[float]()
    peak = [0.0]

    class Hear(TrainerCallback):
        def on_train_begin(self, *arguments: object, **options: object) -> None:
            times.append(cpu_seconds())

        def on_step_end(self, *arguments: object, **options: object) -> None:
            times.append(cpu_seconds())
            peak[0] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        def on_log(self, *arguments: object, **options: Any) -> None:
            logs = options.get("logs")
            if logs and "loss" in logs:
                losses.append(float(logs["loss"]))

    class InOrder(DPOTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *arguments: object, **options: object) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)

    end = "<|endoftext|>"
    words = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_file=str(folder / "model" / "tokenizer.json"), eos_token=end, pad_token=end
    )
    model, reference = (GPT2LMHeadModel.from_pretrained(folder / "model", use_cache=False) for _ in range(2))
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        settings = DPOConfig(
            output_dir=place,
            max_steps=steps,
            per_device_train_batch_size=PAIRS,
            learning_rate=RATE,
            weight_decay=0.0,
            max_grad_norm=CLIP,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            beta=BETA,
            max_length=LENGTH + 1,
            precompute_ref_log_probs=before,
            gradient_checkpointing=False,
            bf16=False,
            dataloader_pin_memory=False,
        )
        given = Dataset.from_list(
            [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in json.loads((folder / "rows.json").read_text())]
        )
        trainer = InOrder(
            model=model,
            ref_model=None if before else reference,
            args=settings,
            train_dataset=given,
            processing_class=words,
            callbacks=[Hear()],
        )
        if before:
            del reference
        trainer.train()
    tell(times, losses, peak[0])


def tell(times: list[float], losses: list[float], peak: float) -> None:
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    print("RESULT " + json.dumps({"steps": steps, "losses": losses, "peak": peak}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", default="", help="the Python of an environment with trl")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--only", default="", help="ours, trl or trl_before: this process is that contestant")
    given = parser.parse_args()
    folder = given.folder.absolute()
    if given.only == "ours":
        ours(folder, given.steps)
    elif given.only:
        trl(folder, given.steps, given.only == "trl_before")
    else:
        compare(folder, given.steps, given.peer)


def compare(folder: Path, steps: int, peer: str) -> None:
    """Each contestant in a process of its own, one after the other."""
    prepare(folder, steps)
    tokens = json.loads((folder / "work.json").read_text())["tokens"]
    contestants = [("ours", sys.executable), *([("trl", peer), ("trl_before", peer)] if peer else [])]
    for name, python in contestants:
        call = [python, __file__, str(folder), "--only", name, "--steps", str(steps)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0"}
        done = subprocess.run(call, capture_output=True, text=True, env=environment, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if not lines:
            sys.exit(f"{name}: {done.stderr[-2000:]}")
        found = json.loads(lines[-1].removeprefix("RESULT "))
        rates = [count / seconds for count, seconds in zip(tokens[1:], found["steps"][1:], strict=True)]
        shown = ", ".join(f"{loss:.4f}" for loss in found["losses"])
        sys.stdout.write(f"{name:12} {statistics.median(rates):7.1f} tokens/CPU-s  peak {found['peak']:6.0f} MB  losses {shown}\n")


if __name__ == "__main__":
    main()
