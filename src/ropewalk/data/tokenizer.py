"""Tokenizers: the artifact (a folder that transformers opens) and `Vocabulary`, through which all text goes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.artifact import Artifact, hash_file
from ropewalk.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from tokenizers import Tokenizer as Engine

END = "<|endoftext|>"
CHATML = ("<|im_start|>", "<|im_end|>")
Pretokenizer = Literal["gpt2", "gpt4", "llama3"]
_PATTERNS = {
    "gpt4": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


class Tokenizer(Artifact, kind="Tokenizer"):
    """tokenizer.json and tokenizer_config.json."""

    adopts = ("tokenizer.json",)

    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.path)


class Vocabulary:
    """Text to ids and back. Control tokens that stand in a text stay text: they are never turned into their ids."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer as Engine

        try:
            self.engine: Engine = Engine.from_file(str(folder / "tokenizer.json"))
            self.names: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        except Exception as error:  # the library raises bare Exception for a damaged file
            raise DataError(f"{folder}: the tokenizer can't be read: {error}") from None
        self.engine.encode_special_tokens = True
        self.engine.no_padding()
        self.engine.no_truncation()
        self.folder = folder

    @cached_property
    def size(self) -> int:
        """The highest id and one: ids need not be without gaps."""
        return max(self.engine.get_vocab().values(), default=-1) + 1

    @cached_property
    def key(self) -> str:
        """Hash of tokenizer.json: equal for equal tokenizers wherever they lie."""
        return hash_file(self.folder / "tokenizer.json")

    def _named(self, role: str) -> str:
        """The control token of a role; older folders write `{"content": "<s>", …}` for `"<s>"`."""
        found = self.names.get(f"{role}_token")
        return str(found["content"] if isinstance(found, dict) else found or "")

    @property
    def bos_id(self) -> int:
        return self.control(self._named("bos") or self._named("eos"))

    @property
    def eos_id(self) -> int:
        return self.control(self._named("eos"))

    @property
    def pad_id(self) -> int:
        return self.control(self._named("pad") or self._named("eos"))

    @cached_property
    def controls(self) -> dict[str, int]:
        """Control tokens and their ids."""
        return {token.content: id_ for id_, token in self.engine.get_added_tokens_decoder().items() if token.special}

    def control(self, name: str) -> int:
        """The id of a control token; raises DataError when the tokenizer has none of that name."""
        if name not in self.controls:
            raise DataError(f"{self.folder}: the tokenizer has no control token {name}")
        return self.controls[name]

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Ids of each text, without BOS and EOS."""
        return [np.array(found.ids, np.int64) for found in self.engine.encode_batch(list(texts), add_special_tokens=False)]

    def encode_with_ends(self, text: str) -> tuple[NDArray[np.int64], list[int]]:
        """Ids of a text, and for each the place (in characters) behind its last character."""
        found = self.engine.encode(text, add_special_tokens=False)
        return np.array(found.ids, np.int64), [end for _, end in found.offsets]

    def decode(self, ids: Iterable[int], *, controls: bool = True) -> str:
        """The text of ids; control tokens are spelt out unless `controls` is false."""
        return self.engine.decode([int(id_) for id_ in ids], skip_special_tokens=not controls)

    def spelt_controls(self, text: str) -> int:
        """How often the text spells a control token."""
        return sum(text.count(name) for name in self.controls)

    def spelt_controls_in(self, texts: pa.ChunkedArray) -> int:
        """The same over a column of texts; only those are looked at that hold the beginning of a control token."""
        import pyarrow.compute as pc

        if not self.controls:
            return 0
        beginnings = {name[:2] for name in self.controls}
        pattern = "|".join(re.escape(beginning) for beginning in sorted(beginnings))
        suspects = (
            texts.filter(pc.match_substring_regex(texts, pattern))
            if len(beginnings) > 1
            else texts.filter(pc.match_substring(texts, *beginnings))
        )
        return sum(self.spelt_controls(text) for text in suspects.to_pylist())


@cache
def byte_letters() -> tuple[str, ...]:
    """The character that stands for each byte in a byte-level vocabulary: itself where it is visible, else one from U+0100 on."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return tuple(chr(byte) if byte in visible else chr(256 + hidden.index(byte)) for byte in range(256))


def kept_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of a folder, read once in a process: shard functions ask for it again and again."""
    return _kept(folder, (folder / "tokenizer.json").stat().st_mtime_ns)


@lru_cache(2)
def _kept(folder: Path, modified: int) -> Vocabulary:
    return Vocabulary(folder)


def set_byte_level(engine: Engine, pretokenizer: Pretokenizer, *, split_digits: bool = False) -> None:
    """Cut text into words by a rule, and words into bytes; the decoder that undoes it exactly."""
    from tokenizers import Regex, decoders, pre_tokenizers

    own_rule = pretokenizer == "gpt2"
    parts: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if split_digits else []
    parts += [] if own_rule else [pre_tokenizers.Split(Regex(_PATTERNS[pretokenizer]), "isolated")]
    parts += [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=own_rule)]
    engine.pre_tokenizer = pre_tokenizers.Sequence(parts) if len(parts) > 1 else parts[0]
    engine.decoder = decoders.ByteLevel()


def train_byte_bpe(
    texts: Iterable[str],
    size: int,
    controls: Sequence[str],
    min_frequency: int,
    pretokenizer: Pretokenizer,
    *,
    split_digits: bool = False,
) -> Engine:
    """A byte-level BPE; the same texts give the same bytes in any process. Control tokens have the first ids."""
    from tokenizers import Tokenizer as Engine
    from tokenizers import models, pre_tokenizers, trainers

    engine = Engine(models.BPE(byte_fallback=False))
    set_byte_level(engine, pretokenizer, split_digits=split_digits)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=list(controls),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    engine.train_from_iterator(texts, trainer)
    return engine


def save_tokenizer(engine: Engine, folder: Path, chat_template: str = "", ends: tuple[str, str, str] = (END, END, END)) -> None:
    """Write the two files; `ends` are BOS, EOS and padding (which is masked by position, never by id)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(engine.to_str(pretty=False), encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **dict(zip(("bos_token", "eos_token", "pad_token"), ends, strict=True)),
        "clean_up_tokenization_spaces": False,
        **({"chat_template": chat_template} if chat_template else {}),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
