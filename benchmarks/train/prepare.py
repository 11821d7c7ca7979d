"""Makes what the contestants work on, with ropewalk's own stages, from the text of Python's standard library.

For each size: packed tokens, a start model as a Hugging Face folder, and the very batches that ropewalk's loader gives, for the peers.
"""

from __future__ import annotations

import ast
import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from benchmarks.train.work import SIZES, Size

SEED, STEPS, MOST_BYTES = 7, 128, 12_000_000
RECIPE = """
format: 1
name: prepare
seed: {seed}
store: {folder}/store
runs: {folder}/runs
stages:
  raw: {{type: load, source: {{type: jsonl, path: {folder}/texts.jsonl}}}}
  vocab: {{type: tokenizer, input: raw, size: {vocabulary}, special: chatml}}
  small: {{type: pack, input: raw, tokenizer: vocab, length: {small}, packing: concat, attend: sequence}}
  tiny: {{type: pack, input: raw, tokenizer: vocab, length: {tiny}, packing: concat, attend: sequence}}
  chats: {{type: format, source: {{type: jsonl, path: {folder}/pairs.jsonl}}, formatter: messages}}
  turns: {{type: render, input: chats, tokenizer: vocab, template: plain, length: {small}}}
"""


def sources() -> Iterator[tuple[Path, str]]:
    root, size = Path(sysconfig.get_paths()["stdlib"]), 0
    for path in sorted(root.rglob("*.py")):
        if {"site-packages", "test", "tests", "idle_test"} & set(path.parts) or size > MOST_BYTES:
            continue
        text = path.read_text("utf-8", "ignore")
        if len(text) >= 200:
            size += len(text)
            yield path, text


def pairs() -> Iterator[tuple[str, str]]:
    """(signature and docstring, body) of the library's functions."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in [*sorted(root.glob("*.py")), *sorted((root / "email").glob("*.py")), *sorted((root / "asyncio").glob("*.py"))]:
        text = path.read_text("utf-8", "ignore")
        lines = text.splitlines(True)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) and len(node.body) > 1:
                start, body = node.lineno - 1, node.body[1].lineno - 1
                prompt, answer = "".join(lines[start:body]).strip(), "".join(lines[body : node.end_lineno]).strip()
                if prompt and 20 <= len(answer) <= 480 and len(prompt) <= 480:
                    yield prompt, answer


def start_model(folder: Path, size: Size, tokenizer: Path) -> None:
    """Random weights everywhere: a new model's output is zero, and equal losses would say nothing."""
    import torch

    from ropewalk.models.folder_module import save_model
    from ropewalk.models.gpt import GPT

    model = GPT(preset="gpt2-tiny", depth=size.depth, width=size.width, heads=size.heads, context=size.context)
    module = model.build(size.vocabulary, SEED)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.02, generator=generator)
    save_model(folder, module, tokenizer)


def main(folder: Path) -> None:
    import ropewalk
    from ropewalk.core.seed import derive
    from ropewalk.data.mixed_loader import open_loader
    from ropewalk.data.tokens import Tokens

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
        for path, text in sources():
            file.write(json.dumps({"id": path.name + str(len(text)), "text": text}) + "\n")
    with (folder / "pairs.jsonl").open("w", encoding="utf-8") as file:
        for prompt, answer in pairs():
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": messages}) + "\n")
    fields = {"folder": folder, "seed": SEED, "vocabulary": SIZES["small"].vocabulary}
    run = ropewalk.loads(RECIPE.format(**fields, small=SIZES["small"].context, tiny=SIZES["tiny"].context)).run(quiet=True)
    for name, size in SIZES.items():
        place = folder / name
        place.mkdir(exist_ok=True)
        tokens = run["tiny" if name == "tiny" else "small"]
        assert isinstance(tokens, Tokens)
        start_model(place / "model", size, run["vocab"].path)
        loader = open_loader(tokens, "train", size.sequences, derive(SEED, "order"))
        seen = [loader.at(step) for step in range(STEPS)]
        np.save(place / "batches.npy", np.stack([np.concatenate([b.tokens, b.targets[:, -1:]], 1) for b in seen]).astype(np.uint16))
        (place / "data").write_text(str(tokens.path))
        if name == "small":
            np.save(folder / "stream.npy", np.asarray(tokens.tokens))
    (folder / "sft").write_text(str(run["turns"].path))
