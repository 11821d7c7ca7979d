"""Tokenizers made elsewhere give the ids that their own libraries give."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from ropewalk.core.errors import DataError
from ropewalk.data.encoder import AWKWARD, open_encoder
from ropewalk.data.tokenizer import END, Vocabulary, byte_letters, save_tokenizer, train_byte_bpe
from ropewalk.data.tokenizer_facts import changed_characters, measure, vocabulary_facts
from ropewalk.data.tokenizer_import import load_tokenizer, tokenizer_files
from ropewalk.data.tokenizer_kinds import train_unigram
from token_kit import make_corpus

TEXT = ["the quick brown fox jumps over the lazy dog, 1234 times", "naïve café and the dog's quick return\n\n    indented"] * 20


def opened(place: Path, out: Path, pretokenizer: object = None, extra: tuple[str, ...] = ()) -> Vocabulary:
    engine, ends, template = load_tokenizer(place, pretokenizer, extra)  # type: ignore[arg-type]
    save_tokenizer(engine, out, template, ends)
    return Vocabulary(out)


def ranks_file(place: Path) -> dict[bytes, int]:
    """Ranks with the merges of a small byte-level BPE."""
    engine = train_byte_bpe(TEXT, 356, (END,), 2, "gpt4")
    letters = {letter: byte for byte, letter in enumerate(byte_letters())}
    words = [bytes(letters[letter] for letter in word) for word, _ in sorted(engine.get_vocab().items(), key=lambda item: item[1])[1:]]
    place.write_bytes(b"".join(base64.b64encode(word) + b" %d\n" % rank for rank, word in enumerate(words)))
    return {word: rank for rank, word in enumerate(words)}


def test_a_hugging_face_folder_keeps_ids_ends_and_template(tmp_path: Path) -> None:
    own = train_byte_bpe(TEXT, 400, ("<s>", "</s>", "[PAD]"), 2, "llama3")
    save_tokenizer(own, tmp_path / "theirs", "{{ messages }}", ("<s>", "</s>", "[PAD]"))
    for place in (tmp_path / "theirs", tmp_path / "theirs" / "tokenizer.json"):
        words = opened(place, tmp_path / f"ours-{place.name}", extra=("<|im_start|>", "<s>"))
        assert (words.bos_id, words.eos_id, words.pad_id) == (0, 1, 2) and words.controls["<|im_start|>"] == own.get_vocab_size()
        assert words.names["chat_template"] == "{{ messages }}"
        assert all(ids.tolist() == own.encode(text).ids for text, ids in zip(TEXT, words.encode(TEXT), strict=True))


def test_vocab_and_merges_are_gpt2s_format(tmp_path: Path) -> None:
    own = train_byte_bpe(TEXT, 400, (END,), 2, "gpt2")
    own.model.save(str(tmp_path))
    words = opened(tmp_path, tmp_path / "ours")
    assert words.eos_id == words.bos_id == own.get_vocab()[END]
    assert all(ids.tolist() == own.encode(text).ids for text, ids in zip(TEXT, words.encode(TEXT), strict=True))


def test_real_gpt2_gives_its_published_ids(tmp_path: Path, data_dir: Path) -> None:
    place = data_dir / "tokenizer" / "gpt2"
    words = opened(place, tmp_path)
    vectors = [json.loads(line) for line in (place / "vectors.jsonl").read_text().splitlines()]
    found = [ids.tolist() for ids in words.encode([vector["text"] for vector in vectors])]
    assert found == [vector["ids"] for vector in vectors] and found and words.eos_id == 50256


def test_tiktokens_ranks_give_tiktokens_ids(tmp_path: Path) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    from ropewalk.data.tokenizer import _PATTERNS

    ranks = ranks_file(tmp_path / "small.tiktoken")
    theirs = tiktoken.Encoding("small", pat_str=_PATTERNS["gpt4"], mergeable_ranks=ranks, special_tokens={END: len(ranks)})
    words = opened(tmp_path, tmp_path / "ours", "gpt4")
    for text, ids in zip([*TEXT, *AWKWARD], words.encode([*TEXT, *AWKWARD]), strict=True):
        assert ids.tolist() == theirs.encode_ordinary(text)
    assert words.eos_id == len(ranks)


def test_ranks_are_read_as_the_merges_they_come_from(tmp_path: Path) -> None:
    ranks_file(tmp_path / "small.tiktoken")
    own = train_byte_bpe(TEXT, 356, (END,), 2, "gpt4")
    words = opened(tmp_path / "small.tiktoken", tmp_path / "ours", "gpt4")
    texts = [*TEXT, *AWKWARD]
    own.encode_special_tokens = True
    assert [ids.tolist() for ids in words.encode(texts)] == [[id_ - 1 for id_ in own.encode(text).ids] for text in texts]


def test_what_is_no_tokenizer_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no tokenizer is here"):
        tokenizer_files(tmp_path)
    ranks_file(tmp_path / "small.tiktoken")
    with pytest.raises(DataError, match="don't say how text is cut"):
        load_tokenizer(tmp_path, None, ())
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(DataError, match="can't be read"):
        load_tokenizer(tmp_path, None, ())


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_unigram_round_trips(tmp_path: Path, byte_fallback: bool) -> None:
    engine = train_unigram(TEXT, 420, (END,), "gpt2", split_digits=True, byte_fallback=byte_fallback)
    save_tokenizer(engine, tmp_path)
    words = Vocabulary(tmp_path)
    assert words.controls == {END: words.eos_id} and words.size <= 420
    texts = [*AWKWARD, *TEXT[:2]]
    assert [words.decode(ids) for ids in words.encode(texts)] == texts
    assert changed_characters(words, "a▁b") == (1 if byte_fallback else 0) and changed_characters(words, "añ日😀 \x00") == 0


def test_facts_of_a_tokenizer(tmp_path: Path) -> None:
    save_tokenizer(train_byte_bpe(TEXT, 400, (END,), 2, "gpt2"), tmp_path / "words")
    words = Vocabulary(tmp_path / "words")
    corpus = make_corpus(tmp_path / "corpus", TEXT)
    measured = measure(words, corpus.tables(), open_encoder(words, "tokenizers"), 1 << 30)
    facts = measured.facts()
    tokens = sum(len(ids) for ids in words.encode(TEXT))
    assert facts["bytes_per_token"] == pytest.approx(sum(len(text.encode()) for text in TEXT) / tokens)
    assert facts["source/even/tokens_per_word"] == pytest.approx(len(words.encode(TEXT[:1])[0]) / len(TEXT[0].split()))
    found = vocabulary_facts(words, measured.seen)
    used = {int(id_) for ids in words.encode(TEXT) for id_ in ids}
    assert found["unused_tokens"] == words.size - 1 - len(used) and found["changed_characters"] == 0 and found["glitch_tokens"] == 0
    assert measure(words, corpus.tables(), open_encoder(words, "tokenizers"), 100).text_bytes.total() < 400


def test_a_token_that_nothing_is_encoded_to_is_a_glitch(tmp_path: Path) -> None:
    engine = train_byte_bpe(TEXT, 300, (END,), 2, "gpt2")
    body = json.loads(engine.to_str())
    body["model"]["vocab"]["Solid"] = 300
    save_tokenizer(type(engine).from_str(json.dumps(body)), tmp_path)
    words = Vocabulary(tmp_path)
    import numpy as np

    found = vocabulary_facts(words, np.zeros(words.size, np.int64))
    assert found["glitches"] == ["Solid"] and found["glitch_tokens"] == 1
