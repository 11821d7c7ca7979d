"""Toxicity by a list of words, by a trained classifier and by a Hugging Face folder; twice does no more than once."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ropewalk.core.errors import ConfigError, DataError
from ropewalk.data.classify.examples import gather
from ropewalk.data.classify.features import Features
from ropewalk.data.classify.sequence_classifier import place_of
from ropewalk.data.classify.shipped import SHIPPED
from ropewalk.data.classify.training import Plan, Trainer, calibrate
from ropewalk.data.corpus import from_documents
from ropewalk.data.filters.classifier import Classified
from ropewalk.data.filters.toxicity import Toxicity
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch, Change

PLAIN = [
    "a fine day by the sea",
    "the ship has left the harbour",
    "we met at the old pier",
    "rope and sail were mended",
    "calm water today",
]
FOUL = ["you grizzly blarg", "what a blarg he is", "blarg blarg you all", "such a grizzly snerk", "go away snerk"]


def batch(*texts: str) -> Batch:
    return Batch(from_documents([Document(f"d{number}", text) for number, text in enumerate(texts)]))


def texts_of(change: Change) -> list[str]:
    assert change.texts is not None
    return list(change.texts)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words") / "words.txt"
    path.write_text("# made up\n1.0: blarg-\n0.4: snerk\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    table = from_documents([Document(str(n), text) for n, text in enumerate(PLAIN + FOUL)])
    examples = gather([(table, np.array([False] * 5 + [True] * 5))], 100)
    trainer = Trainer(Plan(Features(bits=10, disguises=True), 0, 0.02, True, 2, 1.0, 0.0, 0.5), examples)
    scores = trainer.out_of_fold(lambda number: None)[: len(examples)]
    folder = tmp_path_factory.mktemp("toxic")
    trainer.finished(calibrate(scores, examples.positive))[0].save(folder)
    return f"path:{folder}"


def test_the_shipped_list_weighs_listed_words_by_the_length_of_the_text() -> None:
    strong, coarse, mild = (codecs.decode(text, "rot13") for text in ("xvxr", "shpx", "qnza"))
    plain = " ".join(["rope"] * 50)
    found = Toxicity().apply(batch(f"you {strong}", f"{coarse} it", f"oh {mild}", f"{plain} {coarse} {plain}", plain)).rules[0]
    assert found.values.tolist() == pytest.approx([1.0, 0.6, 0.3, 0.6 / (101 / 20), 0.0])
    assert found.keeps.tolist() == [False, False, True, True, True]


def test_listed_words_are_found_in_disguise() -> None:
    word = codecs.decode("shpx", "rot13")
    spelt = [word.upper(), " ".join(word), word[0] + word[1] * 5 + word[2:], f"{word}ing", word.replace("u", "*"), f"{word},", f"x-{word}"]
    assert Toxicity().apply(batch(*spelt)).rules[0].values.tolist() == [pytest.approx(0.6)] * len(spelt)


def test_the_shipped_list_is_whole() -> None:
    text = codecs.decode(SHIPPED.read_text("ascii"), "rot13")
    listed = [word for line in text.splitlines() if not line.startswith("#") for word in line.partition(":")[2].split()]
    assert len(listed) == len(set(listed)) > 200
    weights = Toxicity().apply(batch(*(word.rstrip("-") for word in listed))).rules[0].values
    assert (weights > 0).all()


def test_words_of_ones_own(words: Path) -> None:
    change = Toxicity(words=words).apply(batch("blarging", "snerk", "snerks", "bl@rg", "fine"))
    assert change.rules[0].values.tolist() == pytest.approx([1.0, 0.4, 0.0, 1.0, 0.0])
    before = Toxicity(words=words).fingerprint()
    words.with_name("other.txt").write_text("0.4: snerk\n", encoding="utf-8")
    assert Toxicity(words=words.with_name("other.txt")).fingerprint() != before


@pytest.mark.parametrize("line", ["blarg", "x: blarg", "2: blarg", "0: blarg"])
def test_a_bad_line_of_a_word_list_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "words.txt"
    path.write_text(f"1: fine\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"{path}:2: '{line}'"):
        Toxicity(words=path).apply(batch("a"))


def test_a_classifier_scores_documents_and_their_sentences(model: str) -> None:
    hidden = ". ".join([*PLAIN * 4, FOUL[0], *PLAIN * 4])
    change = Toxicity(model=model, span_at_most=0.5).apply(batch(FOUL[0], PLAIN[0], hidden, ""))  # type: ignore[arg-type]
    document, span = change.rules
    assert document.keeps.tolist() == [False, True, True, True]
    assert span.keeps.tolist() == [False, True, False, True] and (document.values[3], span.values[3]) == (0.0, 0.0)


def test_only_the_first_bytes_are_judged(model: str) -> None:
    text = PLAIN[0] + ". " + FOUL[0] * 9
    whole, first = (Toxicity(model=model, first_bytes=limit).apply(batch(text)).rules[0] for limit in (0, len(PLAIN[0])))  # type: ignore[arg-type]
    assert not whole.keeps[0] and first.keeps[0]


def test_mask_and_tag_leave_the_rest_as_it_is(model: str, words: Path) -> None:
    text = "We met at the old pier. You grizzly blarg! Calm water today.\nGo away, é snerk"
    assert texts_of(Toxicity(model=model, action="mask").apply(batch(text))) == [  # type: ignore[arg-type]
        "We met at the old pier. *** ******* *****! Calm water today.\n** ****, * *****"
    ]
    change = Toxicity(model=model, action="tag").apply(batch(text, "", PLAIN[0]))  # type: ignore[arg-type]
    assert texts_of(change) == ["We met at the old pier. <TOXIC>! Calm water today.\n<TOXIC>", "", PLAIN[0]]
    assert change.counts == {"spans": [2, 0, 0]} and change.rules[0].keeps.all()
    listed = Toxicity(words=words, action="tag", at_most=0.3).apply(batch(text))
    assert texts_of(listed) == ["We met at the old pier. You grizzly <TOXIC>! Calm water today.\nGo away, é <TOXIC>"]


SPELT = st.lists(
    st.sampled_from([*PLAIN, *FOUL, ".", "! ", "\n", "b l a r g", "*", "snerk", "<TOXIC>", " é", "x", "@you ", "a$", "1"]), max_size=12
)


@pytest.mark.parametrize("action", ["mask", "tag"])
@pytest.mark.parametrize("listed", [False, True])
@given(parts=SPELT, joint=st.sampled_from(["", " "]))
def test_twice_is_once(model: str, words: Path, action: Any, listed: bool, parts: list[str], joint: str) -> None:
    source: dict[str, Any] = {"words": words} if listed else {"model": model}
    step = Toxicity(action=action, at_most=0.3, **source)
    once = texts_of(step.apply(batch(joint.join(parts))))
    again = step.apply(batch(*once))
    assert texts_of(again) == once and again.counts["spans"] == [0]


def test_listed_words_are_learnt_that_no_example_has() -> None:
    ends = ("now", "again", "then", "at noon", "with care", "at last", "in time", "by night", "for good", "once more")
    texts = [f"{text} {end}" for text in PLAIN + FOUL for end in ends]
    table = from_documents([Document(str(n), text) for n, text in enumerate(texts)])
    examples = gather([(table, np.arange(100) >= 50)], 100)
    coarse = codecs.decode("jnaxre", "rot13")
    found = []
    for listed in (0.0, 0.3):
        trainer = Trainer(Plan(Features(bits=12, disguises=True), 0, 0.05, True, 2, 0.5, listed, 0.5), examples)
        scores = trainer.out_of_fold(lambda number: None)
        assert len(scores) == len(examples) + len(trainer.copied) and np.isfinite(scores).all()
        linear, _ = trainer.finished(calibrate(scores[: len(examples)], examples.positive))
        found.append(linear.judge(batch(f"what a {coarse}", PLAIN[0]).table["text"], 0))
    assert found[1][0] > max(found[0][0], 0.5) > found[1][1]


def test_a_step_outside_a_recipe_says_what_its_model_must_be() -> None:
    with pytest.raises(ConfigError, match="'toxic' names a stage"):
        Toxicity(model="toxic").apply(batch("a"))  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="a model needs no words"):
        Toxicity(model="toxic", words="w")  # type: ignore[arg-type]


def test_the_classifier_step_keeps_a_range(model: str) -> None:
    ref: Any = model
    texts = batch(FOUL[0], PLAIN[0], "")
    steps = (Classified(model=ref, at_most=0.5), Classified(model=ref, at_least=0.5), Classified(model=ref))
    below, above, seen = (step.apply(texts).rules[0] for step in steps)
    assert below.keeps.tolist() == [False, True, True] and above.keeps.tolist() == [True, False, True] and seen.keeps.all()
    assert below.values.tolist() == above.values.tolist() and seen.values[2] == 0.5
    assert len(Classified(model=ref).apply(batch()).rules[0].keeps) == 0


@pytest.mark.parametrize(
    ("labels", "wanted", "place"),
    [
        (["non-toxic", "toxic"], "", 1),
        (["toxic", "neutral"], "", 0),
        (["LABEL_0", "LABEL_1"], "", 1),
        (["toxic", "severe_toxic", "obscene"], "", 0),
        (["a", "b", "c"], "b", 1),
        (["score"], "", 0),
        (["nothate", "hate"], "", 1),
    ],
)
def test_the_label_that_counts(labels: list[str], wanted: str, place: int) -> None:
    assert place_of(labels, wanted, Path("m")) == place


@pytest.mark.parametrize(("labels", "wanted"), [(["a", "b", "c"], ""), (["insult", "threat"], ""), (["a", "b"], "c")])
def test_labels_that_do_not_tell_are_asked_about(labels: list[str], wanted: str) -> None:
    with pytest.raises(ConfigError, match="label"):
        place_of(labels, wanted, Path("m"))


def test_a_hugging_face_folder_scores_as_transformers_does(tmp_path: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = {word: place for place, word in enumerate(["[PAD]", "[UNK]", *" ".join(PLAIN + FOUL).split()])}
    engine = Tokenizer(models.WordLevel({word: place for place, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=engine, unk_token="[UNK]", pad_token="[PAD]", model_max_length=16)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16,
        id2label={0: "toxic", 1: "fine"}, label2id={"toxic": 0, "fine": 1},
    )  # fmt: skip
    oracle = BertForSequenceClassification(config).eval()
    oracle.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = [PLAIN[0], FOUL[0], FOUL[1], "", f"{PLAIN[0]}. {FOUL[0]} " * 9]
    step = Toxicity(model=f"path:{tmp_path}", at_most=0.0, span_at_most=0.0)  # type: ignore[arg-type]
    document, span = step.apply(batch(*texts)).rules
    with torch.no_grad():
        expected = [oracle(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0, 0].item() for text in texts[:3]]
    assert document.values[:4].tolist() == pytest.approx([*expected, 0.0], abs=1e-6) and np.isfinite(document.values).all()
    assert span.values[:3].tolist() == pytest.approx(expected, abs=1e-6)
    assert texts_of(step.model_copy(update={"action": "tag"}).apply(batch("We met. Go!", ""))) == ["<TOXIC> <TOXIC>", ""]
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(DataError, match="no sequence classifier"):
        Toxicity(model=f"path:{tmp_path}").apply(batch("a"))  # type: ignore[arg-type]
