"""What the tests of heads share: a tiny BERT folder with random weights, posts with marked sentences, and pairs of answers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from ropewalk.models.encoder_module import Encoder
from ropewalk.models.encoder_shape import encoder_shape

WORDS = ["the", "drug", "pain", "fell", "rose", "by", "half", "placebo", "no", "change", "in", "group", "trial", "we", "saw", "of"]
MARKS = ["weight", "age", "and", ".", "?", ",", "-"]
CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": 0,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def make_encoder(folder: Path, seed: int = 0) -> Path:
    """A BERT folder as transformers would write it."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    folder.mkdir(parents=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *WORDS, *MARKS, *"abcdefghijklmnopqrstuvwxyz", *"0123456789"]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    engine = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    engine.normalizer = normalizers.BertNormalizer(lowercase=True)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece()
    engine.add_special_tokens(special)
    engine.save(str(folder / "tokenizer.json"))
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "tokenizer_class": "BertTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    config = {**CONFIG, "vocab_size": len(vocabulary)}
    (folder / "config.json").write_text(json.dumps(config))
    shape = encoder_shape(config)
    assert not isinstance(shape, str)
    save_file(Encoder(shape, len(vocabulary), seed).state_dict(), folder / "model.safetensors", {"format": "pt"})
    return folder


def make_posts(folder: Path, number: int = 24) -> tuple[Path, Path]:
    """posts.csv and annotations.csv: the sentence that names the asked thing is the evidence."""
    things = ("pain", "weight", "age")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "posts.csv").open("w", newline="") as posts, (folder / "annotations.csv").open("w", newline="") as marks:
        post_rows, mark_rows = csv.writer(posts), csv.writer(marks)
        post_rows.writerow(["post_id", "author", "text"])
        mark_rows.writerow(["annotation_id", "post_id", "sentence_text", "label", "start", "end"])
        for one in range(number):
            order = [things[(one + shift) % 3] for shift in range(3)]
            sentences = [f"The {thing} fell by {one + place} in the drug group." for place, thing in enumerate(order)]
            text = f"We saw the trial. {' '.join(sentences)} No change of placebo."
            post_rows.writerow([f"p{one}", f"author{one // 2}", text])
            asked = things[one // 3 % 3]
            quote = next(sentence for sentence in sentences if asked in sentence)
            mark_rows.writerow([f"a{one}", f"p{one}", quote, asked, -1, -1])
    return folder / "posts.csv", folder / "annotations.csv"


def make_pairs(path: Path, number: int = 60) -> Path:
    """LMSYS's columns: the longer answer wins, equal ones tie."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "model_a", "model_b", "prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie"])
        for one in range(number):
            a, b = "the drug fell. " * (1 + one % 4), "the drug fell. " * (1 + one // 2 % 4)
            winner = [int(len(a) > len(b)), int(len(b) > len(a)), int(a == b)]
            rows.writerow([one, "m", "n", json.dumps([f"prompt {one // 2}?"]), json.dumps([a]), json.dumps([b]), *winner])
    return path
