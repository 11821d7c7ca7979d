"""Unigram tokenizers (Kudo 2018), over bytes or over characters with bytes to fall back on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ropewalk.data.tokenizer import Pretokenizer, set_byte_level

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

UNKNOWN = "<unk>"


def train_unigram(
    texts: Iterable[str], size: int, controls: Sequence[str], pretokenizer: Pretokenizer, *, split_digits: bool, byte_fallback: bool
) -> Engine:
    """Words of bytes, which round-trip exactly; with `byte_fallback` words of characters and `▁` for a blank, as in SentencePiece."""
    from tokenizers import Tokenizer as Engine
    from tokenizers import decoders, models, pre_tokenizers, trainers

    engine = Engine(models.Unigram())
    if byte_fallback:
        digits: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if split_digits else []
        engine.pre_tokenizer = pre_tokenizers.Sequence([*digits, pre_tokenizers.Metaspace(prepend_scheme="never")])
        engine.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="never")])
        alphabet, fixed = [], [UNKNOWN, *controls, *(f"<0x{byte:02X}>" for byte in range(256))]
    else:
        set_byte_level(engine, pretokenizer, split_digits=split_digits)
        alphabet, fixed = pre_tokenizers.ByteLevel.alphabet(), [UNKNOWN, *controls]
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=fixed, initial_alphabet=alphabet, unk_token=UNKNOWN, show_progress=False
    )
    engine.train_from_iterator(texts, trainer)
    return _plain_bytes(engine, set(controls), byte_fallback=byte_fallback)


def _plain_bytes(engine: Engine, controls: set[str], *, byte_fallback: bool) -> Engine:
    """The same tokenizer in which the control tokens alone are special: the trainer makes all fixed ids so."""
    import json

    body = json.loads(engine.to_str())
    body["added_tokens"] = [token for token in body["added_tokens"] if token["content"] in controls]
    body["model"]["byte_fallback"] = byte_fallback
    return type(engine).from_str(json.dumps(body))
