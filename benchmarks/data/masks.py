"""Whether our masks are those that TRL's SFTTrainer makes of the same conversations, template by template.

    python benchmarks/data/masks.py --chats STORE/Chats/KEY… --tokenizer STORE/Tokenizer/KEY [--limit 400]

Runs where trl 1.16.0 is installed. The templates are ours with their marks, and TRL's own training templates as the tokenizer's own.
Conversations with tool calls are left out: TRL's data sets don't hold them as columns.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ropewalk.core.errors import DataError
from ropewalk.data.chat import TEMPLATES, Template, Writer
from ropewalk.data.chats import read_chats
from ropewalk.data.masks import encode_pieces
from ropewalk.data.records import Chat, Rejected
from ropewalk.data.templates import CONTROLS
from ropewalk.data.tokenizer import Vocabulary, save_tokenizer

THEIR_CONTROLS = {
    "<|END_OF_TURN_TOKEN|>",
    "<|START_OF_TURN_TOKEN|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|observation|>",
}
THEIRS = ("cohere", "gemma3", "glm4moe", "llama3", "lfm2", "phi3", "qwen2_5", "qwen3", "qwen3_instruct_2507")


def conversations(folders: Sequence[Path], limit: int) -> list[Chat]:
    """Those without tools, from each folder the first ones."""

    def plain(folder: Path) -> Iterator[Chat]:
        for shard in sorted((folder / "chats").glob("*.parquet")):
            yield from (chat for chat in read_chats(shard) if not chat.tools and all(not turn.tool_calls for turn in chat.messages))

    return [chat for folder in folders for chat in islice(plain(folder), limit)]


def with_controls(vocabulary: Vocabulary, folder: Path) -> Vocabulary:
    """The tokenizer with every template's control tokens, and BOS, EOS and padding of their own."""
    ends = ("<s>", "</s>", "<pad>")
    known = {name for names in CONTROLS.values() for name in names} | THEIR_CONTROLS
    vocabulary.engine.add_special_tokens(sorted(known | set(ends)))
    save_tokenizer(vocabulary.engine, folder, "", ends)
    return Vocabulary(folder)


def peer_masks(chats: Sequence[Chat], tokenizer: Path, source: str) -> list[tuple[list[int], list[bool]]]:
    """(ids, trained) of each conversation, as SFTTrainer prepares its data set."""
    trl, transformers, datasets = (importlib.import_module(name) for name in ("trl", "transformers", "datasets"))
    words = transformers.AutoTokenizer.from_pretrained(tokenizer)
    words.chat_template = source
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=len(words), **shape))
    rows = [{"messages": [{"role": turn.role, "content": turn.content} for turn in chat.messages]} for chat in chats]
    with tempfile.TemporaryDirectory() as folder:
        options = {"use_cpu": True, "report_to": "none", "max_length": None, "assistant_only_loss": True, "dataset_num_proc": None}
        settings = trl.SFTConfig(output_dir=folder, **options)
        data = datasets.Dataset.from_list(rows)
        trainer = trl.SFTTrainer(model=model, args=settings, train_dataset=data, processing_class=words)
        return [(list(row["input_ids"]), [label != -100 for label in row["labels"]]) for row in trainer.train_dataset]


def compared(chats: Sequence[Chat], vocabulary: Vocabulary, template: Template) -> dict[str, int]:
    """How many conversations have the same ids, and of these the same mask."""
    writer = Writer(template, vocabulary, "drop")
    source = re.sub(r"\{%-?\s*(?:end)?other\s*-?%\}", "", template.source)
    counts: Counter[str] = Counter()
    for chat, (ids, trained) in zip(chats, peer_masks(chats, vocabulary.folder, source), strict=True):
        try:
            rendering = writer.write(chat)
        except DataError:
            counts["refused"] += 1
            continue
        if isinstance(rendering, Rejected):
            counts[rendering.reason] += 1
            continue
        ours, mask = encode_pieces(rendering.pieces, vocabulary)
        extra = int(ours[0] == vocabulary.bos_id and (not ids or ids[0] != vocabulary.bos_id))  # BOS, where the template leaves it out
        if ours[extra:].tolist() != ids:
            counts["other ids"] += 1
            continue
        differing = [index for index, (own, other) in enumerate(zip(mask[extra:].tolist(), trained, strict=True)) if own != other]
        counts["same mask" if not differing else "other mask"] += 1
        counts["differing tokens"] += len(differing)
    return {"conversations": len(chats), **counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=Path, nargs="+", required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=400)
    given = parser.parse_args()
    chats = conversations(given.chats, given.limit)
    home = tempfile.TemporaryDirectory()
    vocabulary = with_controls(Vocabulary(given.tokenizer), Path(home.name))
    theirs = Path(str(importlib.import_module("trl").__file__)).parent / "chat_templates"
    files = [theirs / f"{name}_training.jinja" for name in THEIRS]
    own = [Template(f"trl/{path.stem}", path.read_text(encoding="utf-8")) for path in files]
    for template in [*TEMPLATES.values(), *own]:
        try:
            found: Any = compared(chats, vocabulary, template)
        except Exception as error:  # a template of TRL's may refuse what ours allow
            found = {"TRL refuses": str(error).splitlines()[0][:120]}
        print(json.dumps({"template": template.name, **found}), flush=True)


if __name__ == "__main__":
    main()
