"""The tokenizer of a GGUF file as tokenizer.json and tokenizer_config.json: byte-level BPE with the way of cutting text that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ropewalk.core.errors import DataError

_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _LLAMA3.replace("{1,3}", "")
_CUTS = {"gpt-2": "", "smollm": "digits", "llama-bpe": _LLAMA3, "llama3": _LLAMA3, "qwen2": _QWEN2, "deepseek-r1-qwen": _QWEN2}
"""What `tokenizer.ggml.pre` names: a pattern, or GPT-2's own with single digits, or without."""
_CONTROL, _USER_DEFINED = 3, 4
_ROLES = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}


def write_tokenizer(path: Path, facts: Mapping[str, Any], folder: Path) -> dict[str, int]:
    """Write the two files into `folder`; returns bos_token_id, eos_token_id and pad_token_id as far as they are said."""
    from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Engine

    def fact(name: str, default: Any = None) -> Any:
        return facts[f"tokenizer.{name}"].contents() if f"tokenizer.{name}" in facts else default

    kind, cut = fact("ggml.model", "none"), fact("ggml.pre", "none")
    if kind != "gpt2" or cut not in _CUTS:
        what = f"tokenizer of kind {kind!r}" if kind != "gpt2" else f"way of cutting text {cut!r}"
        remedy = "make a Hugging Face folder of the model: its tokenizer.json is read as it is"
        raise DataError(f"{path}: the {what} is not supported", remedy=remedy)
    tokens, types = fact("ggml.tokens", []), fact("ggml.token_type", [])
    merges = [tuple(pair.split(" ")) for pair in fact("ggml.merges", [])]
    pattern = _CUTS[cut]
    try:
        vocabulary = {token: number for number, token in enumerate(tokens)}
        engine = Engine(models.BPE(vocabulary, merges, ignore_merges=pattern == _LLAMA3))
    except Exception as error:  # the library raises bare Exception
        raise DataError(f"{path}: the tokenizer is damaged: {error}") from None
    first: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if pattern == "digits" else []
    own = pattern in ("", "digits")
    first += [] if own else [pre_tokenizers.Split(Regex(pattern), "isolated")]
    engine.pre_tokenizer = pre_tokenizers.Sequence([*first, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=own)])
    if pattern == _QWEN2:
        engine.normalizer = normalizers.NFC()
    engine.decoder = decoders.ByteLevel()
    for wanted in (_CONTROL, _USER_DEFINED):
        chosen = [token for token, kind_ in zip(tokens, types, strict=True) if kind_ == wanted]
        added = [AddedToken(token, special=wanted == _CONTROL, normalized=False) for token in chosen]
        engine.add_special_tokens(added) if wanted == _CONTROL else engine.add_tokens(added)
    (folder / "tokenizer.json").write_text(engine.to_str(pretty=False), encoding="utf-8")
    ids = {role: fact(f"ggml.{said}_token_id") for role, said in _ROLES.items()}
    config: dict[str, Any] = {f"{role}_token": tokens[number] for role, number in ids.items() if number is not None}
    config |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    config["add_bos_token"] = bool(fact("ggml.add_bos_token", pattern == _LLAMA3))
    if template := fact("chat_template"):
        config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return {f"{role}_token_id": number for role, number in ids.items() if number is not None and role != "unk"}
