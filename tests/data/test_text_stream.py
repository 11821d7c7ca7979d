"""Text comes in pieces that never hold half a character and never show a stop text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.data.text_stream import TextStream
from ropewalk.data.tokenizer import Vocabulary
from writing_kit import make_tokenizer


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder)
    return Vocabulary(folder)


def pieces(stream: TextStream, ids: list[int]) -> list[str]:
    return [*(stream.push(id_) for id_ in ids), stream.finish()]


@given(text=st.text(max_size=20))
@settings(max_examples=60)
def test_pieces_together_are_the_text_and_each_is_whole(vocabulary: Vocabulary, text: str) -> None:
    ids = vocabulary.encode([text])[0].tolist()
    found = pieces(TextStream(vocabulary), ids)
    assert "".join(found) == text
    assert all("\ufffd" not in piece or "\ufffd" in text for piece in found)


@given(ids=st.lists(st.integers(0, 339), max_size=25))
@settings(max_examples=60)
def test_nonsense_gives_the_same_text_as_decoding_it_whole(vocabulary: Vocabulary, ids: list[int]) -> None:
    assert "".join(pieces(TextStream(vocabulary), ids)) == vocabulary.decode(ids, controls=False)


def test_a_character_of_many_tokens_comes_in_one_piece(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode(["a\U0001f6b2b"])[0].tolist()
    assert len(ids) > 3
    assert [piece for piece in pieces(TextStream(vocabulary), ids) if piece] == ["a", "\U0001f6b2", "b"]


@given(
    text=st.text(alphabet="abAB.", max_size=24), stops=st.lists(st.text(alphabet="abAB.", min_size=1, max_size=4), min_size=1, max_size=3)
)
@settings(max_examples=150)
def test_text_ends_before_the_first_stop_text_wherever_tokens_meet(vocabulary: Vocabulary, text: str, stops: list[str]) -> None:
    ids = [id_ for letter in text for id_ in vocabulary.encode([letter])[0].tolist()]
    stream, shown = TextStream(vocabulary, stop=stops), ""
    for id_ in ids:
        shown += stream.push(id_)
        if stream.stopped:
            break
        assert text.startswith(shown) and not any(stop in shown for stop in stops)
    shown += stream.finish()
    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(stop) for stop in stops)]
    assert stream.stopped == bool(ends)
    first = text[: ends[0]] if ends else text
    longest = max((stop for stop in stops if ends and first.endswith(stop)), key=len, default="")
    assert shown == first[: len(first) - len(longest)]


def test_a_text_that_stood_in_the_prompt_is_not_told_again(vocabulary: Vocabulary) -> None:
    prompt = vocabulary.encode(["the cat"])[0].tolist()
    assert "".join(pieces(TextStream(vocabulary, prompt, stop=["cat"]), vocabulary.encode([" sat"])[0].tolist())) == " sat"


def test_tokenizers_that_swallow_a_first_blank_keep_it_in_the_middle(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    engine = Tokenizer(models.BPE({"▁": 0, "a": 1, "b": 2, "▁a": 3, "▁b": 4}, [("▁", "a"), ("▁", "b")]))
    engine.pre_tokenizer = pre_tokenizers.Metaspace()
    engine.decoder = decoders.Metaspace()
    (tmp_path / "tokenizer.json").write_text(engine.to_str())
    (tmp_path / "tokenizer_config.json").write_text("{}")
    vocabulary = Vocabulary(tmp_path)
    assert "".join(pieces(TextStream(vocabulary, [3]), [4, 3])) == " b a"
    assert "".join(pieces(TextStream(vocabulary), [4, 3])) == "b a"
