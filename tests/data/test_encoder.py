"""gigatoken gives the ids and merges of tokenizers, or isn't used and a word is said about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.core.errors import MissingExtra
from ropewalk.data import encoder
from ropewalk.data.encoder import AWKWARD, Encoded, Resolved, check_encoder, choose_engine, open_encoder, resolve_engine, without_ends
from ropewalk.data.token_store import with_ends
from ropewalk.data.tokenizer import CHATML, END, Pretokenizer, Vocabulary, save_tokenizer, train_byte_bpe
from token_kit import make_corpus

TEXT = ["the quick brown fox jumps over the lazy dog, 1234 times", "naïve café - 日本語 and the dog's quick return\n\n    indented"] * 20
ENGINES: tuple[Resolved, ...] = ("tokenizers", "gigatoken")


def vocabulary(folder: Path, pretokenizer: Pretokenizer = "gpt2", *, split_digits: bool = False) -> Vocabulary:
    save_tokenizer(train_byte_bpe(TEXT, 420, (END, *CHATML), 2, pretokenizer, split_digits=split_digits), folder)
    return Vocabulary(folder)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return vocabulary(tmp_path_factory.mktemp("words"))


@pytest.mark.parametrize("pretokenizer", ["gpt2", "gpt4", "llama3"])
@pytest.mark.parametrize("split_digits", [False, True])
def test_both_engines_give_the_same_ids(tmp_path: Path, pretokenizer: Pretokenizer, split_digits: bool) -> None:
    pytest.importorskip("gigatoken")
    words = vocabulary(tmp_path, pretokenizer, split_digits=split_digits)
    if split_digits and pretokenizer == "gpt2":
        assert "can't compute this tokenizer" in check_encoder(words, "gigatoken", TEXT)
        return
    texts = [*AWKWARD, *TEXT[:2], *words.controls]
    found = [open_encoder(words, engine)(texts) for engine in ENGINES]
    assert all(np.array_equal(getattr(found[0], name), getattr(found[1], name)) for name in ("tokens", "lengths"))
    assert all(np.array_equal(ids, wanted) for ids, wanted in zip(found[1].each(), words.encode(texts), strict=True))
    assert check_encoder(words, "gigatoken", TEXT) == ""
    assert not set(found[1].tokens.tolist()) & set(words.controls.values()), "text became control"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_text_gives_the_same_ids(words: Vocabulary, texts: list[str]) -> None:
    pytest.importorskip("gigatoken")
    found = [open_encoder(words, engine)(texts) for engine in ENGINES]
    assert np.array_equal(found[0].tokens, found[1].tokens) and found[0].lengths.tolist() == found[1].lengths.tolist()
    assert words.decode(found[0].tokens) == "".join(texts)


def test_an_engine_that_differs_is_not_used(words: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path / "c", TEXT)
    files = [shard.content for shard in corpus.shards()]
    monkeypatch.setattr(encoder, "resolve_engine", lambda wanted: "gigatoken")
    sound = open_encoder(words, "tokenizers")

    def wrong(texts: list[str]) -> Encoded:
        found = sound(texts)
        return Encoded(np.where(found.tokens == words.encode(["the"])[0][-1], 5, found.tokens), found.lengths)

    monkeypatch.setattr(encoder, "_fast", lambda words: wrong)
    chosen, why = choose_engine(words, "auto", files)
    assert chosen == "tokenizers" and "are others than those of tokenizers" in why
    monkeypatch.setattr(encoder, "_fast", lambda words: sound)
    assert choose_engine(words, "auto", files) == ("gigatoken", "")


def test_a_tokenizer_that_gigatoken_cannot_compute_falls_back(tmp_path: Path) -> None:
    pytest.importorskip("gigatoken")
    from tokenizers import Tokenizer, models, pre_tokenizers

    engine = Tokenizer(models.WordLevel({"a": 0, END: 1}, unk_token="a"))
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    engine.add_special_tokens([END])
    save_tokenizer(engine, tmp_path)
    assert check_encoder(Vocabulary(tmp_path), "gigatoken", ["a b"])


def test_what_auto_means_where_gigatoken_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "find_spec", lambda name: None)
    assert resolve_engine("auto") == resolve_engine("tokenizers") == "tokenizers"
    with pytest.raises(MissingExtra, match="gigatoken") as caught:
        resolve_engine("gigatoken")
    assert "ropewalk[fast]" in caught.value.remedy
    monkeypatch.setattr(encoder, "find_spec", lambda name: object())
    assert resolve_engine("auto") == resolve_engine("gigatoken") == "gigatoken" and resolve_engine("tokenizers") == "tokenizers"


@given(st.lists(st.lists(st.integers(10, 99), max_size=5), max_size=6), st.booleans(), st.booleans())
def test_bos_and_eos_stand_at_each_end_once(texts: list[list[int]], bos: bool, eos: bool) -> None:
    flat, lengths = np.array([id_ for text in texts for id_ in text], np.uint32), np.array([len(text) for text in texts], np.int64)
    found, sizes = with_ends(flat, lengths, 1 if bos else None, 2 if eos else None, np.uint16)
    wanted = [[1] * bos + text + [2] * eos for text in texts]
    assert (
        found.dtype == np.uint16
        and found.tolist() == [id_ for text in wanted for id_ in text]
        and sizes.tolist() == [len(t) for t in wanted]
    )


def test_ends_that_a_text_spells_are_not_doubled() -> None:
    found = without_ends(Encoded(np.array([1, 5, 2, 7, 1, 2, 1, 6], np.uint32), np.array([3, 1, 0, 2, 2])), 1, 2)
    assert found.tokens.tolist() == [5, 7, 6] and found.lengths.tolist() == [1, 1, 0, 0, 1]


def test_spelt_controls_are_counted_over_a_column(words: Vocabulary) -> None:
    import pyarrow as pa

    texts = ["plain", "<|endoftext|> <|im_end|><|im_end|>", "<|nothing|>", ""]
    assert words.spelt_controls_in(pa.chunked_array([texts[:1], texts[1:]])) == sum(words.spelt_controls(text) for text in texts) == 3


def byte_bpe(**changed: Any) -> Any:
    from ropewalk.data.tokenizer_training import Training

    return Training(**{"kind": "bpe", "size": 330, "controls": (END,), "min_frequency": 2, "pretokenizer": "gpt2", **changed})


def files(tmp_path: Path, texts: list[str]) -> list[Path]:
    return [shard.content for shard in make_corpus(tmp_path / "corpus", texts).shards()]


@pytest.mark.parametrize("size", [257, 258, 300, 380])
def test_gigatoken_trains_the_bytes_that_tokenizers_trains(tmp_path: Path, size: int) -> None:
    pytest.importorskip("gigatoken")
    from ropewalk.data.tokenizer_training import train

    texts = [*TEXT, *AWKWARD, *[f"{n} {n * n} aaaa aaa aa <|endoftext|>" for n in range(40)]]
    work = tmp_path / "work"
    work.mkdir()
    found = [
        train(byte_bpe(size=size), files(tmp_path / engine, texts), engine, work, lambda n: None) for engine in ("tokenizers", "gigatoken")
    ]
    assert found[0].engine.to_str() == found[1].engine.to_str()
    assert [one.trained_by for one in found] == ["tokenizers", "gigatoken"] and found[0].text_bytes == found[1].text_bytes


def test_where_the_least_frequency_stops_merging_tokenizers_trains(tmp_path: Path) -> None:
    pytest.importorskip("gigatoken")
    from ropewalk.data.tokenizer_training import train

    (tmp_path / "work").mkdir()
    found = train(byte_bpe(size=2000), files(tmp_path, TEXT), "gigatoken", tmp_path / "work", lambda n: None)
    assert found.trained_by == "tokenizers" and found.fallback and 300 < found.engine.get_vocab_size() < 2000


def test_a_trial_that_comes_out_otherwise_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ropewalk.data import fast_bpe
    from ropewalk.data.tokenizer_training import train

    monkeypatch.setattr(fast_bpe, "_merges", lambda source, size: [(b"q", b"z")])
    found = train(byte_bpe(), files(tmp_path, TEXT), "gigatoken", tmp_path, lambda n: None)
    assert found.trained_by == "tokenizers" and "other merges" in found.fallback
    monkeypatch.setattr(fast_bpe, "_merges", lambda source, size: [(b"a", b"bc"), (b"ab", b"c")])
    with pytest.raises(fast_bpe.Unfit, match="same word"):
        fast_bpe.train_fast_bpe([], 300, (END,))


def test_a_sample_is_drawn_by_the_ids(tmp_path: Path) -> None:
    from ropewalk.data.tokenizer_training import train

    texts = [f"document {n} says a thing or two about {n * n}" for n in range(300)]
    whole, half = (
        train(byte_bpe(share=share), files(tmp_path / str(share), texts), "tokenizers", tmp_path, lambda n: None) for share in (1, 0.3)
    )
    assert 0.2 < half.text_bytes / whole.text_bytes < 0.4
    kept = json.loads(half.engine.to_str())["model"]["vocab"]
    assert len(kept) <= 330
