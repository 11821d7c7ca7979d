"""The writer: batches that prompts join and leave, stop tokens and texts, and why an answer ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ropewalk.core.errors import DataError
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.evaluate.writer import Writer
from ropewalk.models.generate_module import generate
from ropewalk.models.model import Model, load_model
from ropewalk.models.sampling import Sampling
from writing_kit import make_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def writer_of(folder: Path, at_once: int = 3, stop_ids: tuple[int, ...] = ()) -> Writer:
    return Writer(load_model(folder), Vocabulary(folder), stop_ids, at_once)


def prompts(vocabulary: Vocabulary) -> list[list[int]]:
    return [vocabulary.encode([text])[0].tolist() for text in ("the cat", "日本", "one two three", "x", "🙂 dog")]


def test_answers_are_those_of_the_model_whatever_is_written_together(folder: Path) -> None:
    vocabulary, wish = Vocabulary(folder), Sampling(max_tokens=30)
    expected = [vocabulary.decode(generate(load_model(folder), ids, 30), controls=False) for ids in prompts(vocabulary)]
    for at_once in (1, 3, 16):
        found = writer_of(folder, at_once).write([(ids, wish) for ids in prompts(vocabulary)])
        assert [piece.text for piece in found] == expected
        assert {piece.finish for piece in found} == {"length"} and {piece.tokens for piece in found} == {30}


def test_stop_tokens_and_stop_texts_end_an_answer_and_are_not_shown(folder: Path) -> None:
    vocabulary, wish = Vocabulary(folder), Sampling(max_tokens=30)
    ids = prompts(vocabulary)[0]
    new = generate(load_model(folder), ids, 30)
    (whole,) = writer_of(folder).write([(ids, wish)])
    last = next(number for number in range(5, 30) if new[number] not in new[:number])
    (ended,) = writer_of(folder, stop_ids=(new[last],)).write([(ids, wish)])
    assert (ended.text, ended.finish, ended.tokens) == (vocabulary.decode(new[:last], controls=False), "stop", last + 1)
    stop = whole.text[6:9]
    (cut,) = writer_of(folder).write([(ids, replace(wish, stop=("never", stop)))])
    assert (cut.text, cut.finish) == (whole.text[: whole.text.index(stop)], "stop") and cut.tokens < 30


def test_an_answer_ends_with_the_context(folder: Path) -> None:
    ids = prompts(Vocabulary(folder))[2]
    (piece,) = writer_of(folder).write([(ids, Sampling(max_tokens=10_000))])
    assert piece.finish == "length" and piece.tokens == 96 - len(ids) + 1


def test_others_go_on_when_one_is_cancelled(folder: Path) -> None:
    vocabulary, wish = Vocabulary(folder), Sampling(max_tokens=12)
    writer = writer_of(folder, 2)
    numbers = [writer.add(ids, wish) for ids in prompts(vocabulary)]
    texts = dict.fromkeys(numbers, "")
    for step in range(100):
        if step == 3:
            writer.cancel(numbers[0])
            writer.cancel(numbers[4])
        if not writer.busy:
            break
        for piece in writer.step():
            texts[piece.number] += piece.text
    expected = [piece.text for piece in writer_of(folder).write([(ids, wish) for ids in prompts(vocabulary)])]
    assert list(texts.values())[1:4] == expected[1:4] and len(texts[numbers[0]]) < len(expected[0]) and texts[numbers[4]] == ""


def test_a_stream_that_is_left_leaves_nothing_behind(folder: Path) -> None:
    writer = writer_of(folder)
    stream = writer.stream([(ids, Sampling()) for ids in prompts(writer.vocabulary)])
    next(stream)
    stream.close()
    assert not writer.busy
    assert writer.write([([5], Sampling(max_tokens=1))])[0].tokens == 1


@pytest.mark.parametrize(
    ("ids", "wish", "said"),
    [([], Sampling(), "empty"), ([3] * 96, Sampling(), "96 tokens"), ([3], Sampling(top_p=0), "top_p must be")],
)
def test_what_can_t_be_written_is_an_error(folder: Path, ids: list[int], wish: Sampling, said: str) -> None:
    writer = writer_of(folder)
    with pytest.raises(DataError, match=said):
        writer.add(ids, wish)
    assert not writer.busy


def test_a_model_knows_the_tokens_that_end_an_answer(folder: Path) -> None:
    from ropewalk.core.store import open_outside

    model = open_outside((Model,), folder)
    vocabulary = Vocabulary(folder)
    assert isinstance(model, Model)
    assert model.end_ids() == {vocabulary.control("<|endoftext|>"), vocabulary.control("<|im_end|>")}
