"""Tokenizers of the peers: `tokens.py train|encode PEER --corpus FILE --model DIR [--limit-mb N]`.

A 32,768 byte-level BPE with GPT-2's pattern. Encoding reads DIR/tokenizer.json, writes 16-bit ids and prints a hash of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
SIZE = 32_768
END = "<|endoftext|>"
BATCH = 1024
Texts = list[str]
now = time.process_time


def train_tokenizers(texts: Texts, model: Path) -> float:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=[END], show_progress=False, initial_alphabet=alphabet)
    started = now()
    engine.train_from_iterator(texts, trainer)
    seconds = now() - started
    engine.save(str(model / "trained_by_tokenizers.json"))
    return seconds


def train_rustbpe(texts: Texts, model: Path) -> float:
    import rustbpe

    started = now()
    rustbpe.Tokenizer().train_from_iterator(iter(texts), vocab_size=SIZE - 1, pattern=PATTERN)
    return now() - started


def train_bpeasy(texts: Texts, model: Path) -> float:
    import bpeasy

    started = now()
    bpeasy.train_bpe(iter(texts), PATTERN, 128, SIZE)
    return now() - started


def _flat(texts: Texts, model: Path) -> str:
    path = model / "flat.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    return str(path)


def train_gigabpe(texts: Texts, model: Path) -> float:
    import gigabpe

    path = _flat(texts, model)
    started = now()
    gigabpe.train_tokenizer(
        [path], vocab_size=SIZE, output=str(model / "gigabpe.json"), pretokenizer="bytelevel", special_tokens=[END], threads=1
    )
    return now() - started


def train_gigatoken(texts: Texts, model: Path) -> float:
    import gigatoken

    path = _flat(texts, model)
    started = now()
    gigatoken.train_bpe(path, SIZE, [END])
    return now() - started


def ranks(model: Path) -> tuple[dict[bytes, int], int]:
    """tokenizer.json's vocabulary as bytes -> id, and the id of the end."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelt = {chr(byte): byte for byte in plain}
    spelt |= {chr(256 + place): byte for place, byte in enumerate(byte for byte in range(256) if byte not in plain)}
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    end = vocabulary.pop(END)
    return {bytes(spelt[character] for character in token): number for token, number in vocabulary.items()}, end


def encode_tokenizers(model: Path) -> Callable[[Texts], Any]:
    from tokenizers import Tokenizer

    engine = Tokenizer.from_file(str(model / "tokenizer.json"))
    return lambda batch: [found.ids for found in engine.encode_batch_fast(batch, add_special_tokens=False)]


def encode_tiktoken(model: Path) -> Callable[[Texts], Any]:
    import tiktoken

    known, end = ranks(model)
    engine = tiktoken.Encoding("bench", pat_str=PATTERN, mergeable_ranks=known, special_tokens={END: end})
    return lambda batch: [engine.encode_to_numpy(text, disallowed_special=()) for text in batch]


def encode_riptoken(model: Path) -> Callable[[Texts], Any]:
    import riptoken

    known, end = ranks(model)
    engine = riptoken.CoreBPE(known, {END: end}, PATTERN)
    return lambda batch: [engine.encode_ordinary(text) for text in batch]


def encode_fastokens(model: Path) -> Callable[[Texts], Any]:
    import fastokens

    engine = fastokens._native.Tokenizer.from_file(str(model / "tokenizer.json"))  # noqa: SLF001
    return lambda batch: [getattr(found, "ids", found) for found in engine.encode_batch(batch)]


def encode_gigatoken(model: Path) -> Callable[[Texts], Any]:
    import awkward
    import gigatoken
    import numpy as np
    from tokenizers import Tokenizer

    engine = gigatoken.Tokenizer(Tokenizer.from_file(str(model / "tokenizer.json")))

    def encode(batch: Texts) -> Any:
        found = engine.encode_batch(batch, parallel=False)
        return np.split(awkward.to_numpy(awkward.flatten(found)), np.cumsum(awkward.to_numpy(awkward.num(found)))[:-1])

    return encode


TRAIN = {
    "tokenizers": train_tokenizers,
    "rustbpe": train_rustbpe,
    "bpeasy": train_bpeasy,
    "gigabpe": train_gigabpe,
    "gigatoken": train_gigatoken,
}
ENCODE = {
    "tokenizers": encode_tokenizers,
    "tiktoken": encode_tiktoken,
    "riptoken": encode_riptoken,
    "fastokens": encode_fastokens,
    "gigatoken": encode_gigatoken,
}


def main() -> None:
    import numpy as np

    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["train", "encode"])
    parser.add_argument("peer")
    parser.add_argument("--corpus", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--limit-mb", type=float, default=1e9)
    given = parser.parse_args()
    texts, size = [], 0
    with given.corpus.open(encoding="utf-8") as file:
        for line in file:
            texts.append(json.loads(line)["text"])
            size += len(texts[-1].encode())
            if size > given.limit_mb * 1e6:
                break
    given.model.mkdir(parents=True, exist_ok=True)
    if given.work == "train":
        print(json.dumps({"mb": size / 1e6, "cpu_s": TRAIN[given.peer](texts, given.model)}))
        return
    encode = ENCODE[given.peer](given.model)
    encode(texts[:64])
    tokens, hashed, started = 0, hashlib.sha1(), now()
    with (given.model / f"{given.peer}.bin").open("wb") as out:
        for start in range(0, len(texts), BATCH):
            for ids in encode(texts[start : start + BATCH]):
                data = np.asarray(ids, np.uint16).tobytes()
                tokens += len(data) // 2
                hashed.update(data)
                out.write(data)
    seconds = now() - started
    print(json.dumps({"mb": size / 1e6, "cpu_s": seconds, "tokens": tokens, "hash": hashed.hexdigest()[:12]}))


if __name__ == "__main__":
    main()
