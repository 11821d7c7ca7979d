"""Unigram tokenizers (Kudo 2018), over bytes or over characters with bytes to fall back on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ropewalk.data.tokenizer import Pretokenizer, set_byte_level

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

UNKNOWN = "<unk>"
STEP = 0.0001
"""What the trainer puts between the scores of letters that it must have."""
NEAR = 1e-6
"""How near to a whole number of steps a score must be."""
DIGITS = 8
"""Sums in another order differ from the fifteenth digit on."""


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
    return _settled(engine, fixed, set(controls), byte_fallback=byte_fallback)


def _settled(engine: Engine, fixed: Sequence[str], controls: set[str], *, byte_fallback: bool) -> Engine:
    """The same pieces in one order with the control tokens alone special: the trainer makes all fixed ids so.

    The trainer finds the same pieces each time, but sums their scores in the order of a hash table, which differs from process
    to process; and the letters that it must have and never chose get the lowest scores, a step apart, in such an order.
    """
    body = json.loads(engine.to_str())
    pieces = body["model"]["vocab"]
    head, rest = pieces[: len(fixed)], pieces[len(fixed) :]
    low = min((score for _, score in rest), default=0.0)
    unchosen = {piece: score for piece, score in rest if len(piece) == 1 and abs((score - low) / STEP - round((score - low) / STEP)) < NEAR}
    scores = {**dict(rest), **dict(zip(sorted(unchosen), sorted(unchosen.values()), strict=True))}
    scored = [[piece, round(score, DIGITS)] for piece, score in scores.items()]
    body["model"]["vocab"] = [*head, *sorted(scored, key=lambda item: (-item[1], item[0]))]
    body["model"]["byte_fallback"] = byte_fallback
    body["added_tokens"] = [token for token in body["added_tokens"] if token["content"] in controls]
    return type(engine).from_str(json.dumps(body))
