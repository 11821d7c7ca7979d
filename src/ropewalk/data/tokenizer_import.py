"""Tokenizers made elsewhere: a tokenizer.json, a Hugging Face folder, GPT-2's vocab.json with merges.txt, tiktoken's ranks."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ropewalk.core.errors import DataError
from ropewalk.data.tokenizer import END, Pretokenizer, byte_letters, set_byte_level

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

ENDS = (END, "</s>", "<|end_of_text|>", "<eos>", "<|eot_id|>", "<|im_end|>", "[SEP]")
"""What the end of a text is called, tried in this order where the folder doesn't say."""


def tokenizer_files(place: Path) -> list[Path]:
    """The files of `place` that make the tokenizer; raises DataError where there are none."""
    if place.is_file():
        beside = [] if _is_ranks(place) else [place.parent / "tokenizer_config.json"]
        return [place, *(path for path in beside if path.is_file())]
    names = [["tokenizer.json"], ["vocab.json", "merges.txt"]]
    for wanted in names:
        found = [place / name for name in wanted if (place / name).is_file()]
        if len(found) == len(wanted):
            return [*found, *(path for path in [place / "tokenizer_config.json"] if path.is_file())]
    ranks = sorted(place.glob("*.tiktoken"))
    if len(ranks) == 1:
        return ranks
    raise DataError(
        f"{place}: no tokenizer is here",
        remedy="give a tokenizer.json, a folder with one, or with vocab.json and merges.txt, or *.tiktoken",
    )


def load_tokenizer(place: Path, pretokenizer: Pretokenizer | None, extra: Sequence[str]) -> tuple[Engine, tuple[str, str, str], str]:
    """(engine, names of BOS, EOS and padding, chat template); `extra` control tokens are added where they lack."""
    files = tokenizer_files(place)
    try:
        engine = _read(files, pretokenizer)
        names = json.loads(files[-1].read_text(encoding="utf-8")) if files[-1].name == "tokenizer_config.json" else {}
    except DataError:
        raise
    except Exception as error:  # the library raises bare Exception for a damaged file
        raise DataError(f"{files[0]}: the tokenizer can't be read: {error}") from None
    engine.no_padding()
    engine.no_truncation()
    vocabulary = engine.get_vocab()
    eos = _said(names, "eos") or next((name for name in ENDS if name in vocabulary), "") or END
    bos, pad = _said(names, "bos") or eos, _said(names, "pad") or eos
    engine.add_special_tokens([name for name in dict.fromkeys([eos, bos, pad, *extra]) if name not in _special(engine)])
    return engine, (bos, eos, pad), str(names.get("chat_template") or "")


def _special(engine: Engine) -> set[str]:
    return {token.content for token in engine.get_added_tokens_decoder().values() if token.special}


def _said(names: dict[str, object], role: str) -> str:
    found = names.get(f"{role}_token")
    return str(found["content"] if isinstance(found, dict) else found or "")


def _read(files: Sequence[Path], pretokenizer: Pretokenizer | None) -> Engine:
    from tokenizers import Tokenizer as Engine
    from tokenizers import models

    if files[0].name == "vocab.json":
        vocabulary, merges = models.BPE.read_file(str(files[0]), str(files[1]))
        engine = Engine(models.BPE(vocabulary, merges))
        set_byte_level(engine, pretokenizer or "gpt2")
        return engine
    if not _is_ranks(files[0]):
        return Engine.from_file(str(files[0]))
    if pretokenizer is None:
        raise DataError(f"{files[0]}: ranks don't say how text is cut into words", remedy="set pretokenizer: gpt2, gpt4 or llama3")
    ranks = {base64.b64decode(word): int(rank) for word, rank in (line.split() for line in files[0].read_bytes().splitlines() if line)}
    letters = byte_letters()
    spelt = {word: "".join(letters[byte] for byte in word) for word in ranks}
    pairs = [_halves(word, ranks) for word in sorted(ranks, key=ranks.__getitem__) if len(word) > 1]
    merges = [(spelt[left], spelt[right]) for left, right in pairs if left in spelt and right in spelt]
    engine = Engine(models.BPE({spelt[word]: rank for word, rank in ranks.items()}, merges, ignore_merges=True))
    set_byte_level(engine, pretokenizer)
    return engine


def _is_ranks(place: Path) -> bool:
    return place.suffix != ".json"


def _halves(word: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The merge that makes a word: what is left of it when all merges of lower rank are made."""
    parts = [word[i : i + 1] for i in range(len(word))]
    while len(parts) > 2:
        candidates = [ranks.get(parts[i] + parts[i + 1], ranks[word]) for i in range(len(parts) - 1)]
        least = min(candidates)
        if least >= ranks[word]:
            break
        place = candidates.index(least)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts[0], b"".join(parts[1:])
