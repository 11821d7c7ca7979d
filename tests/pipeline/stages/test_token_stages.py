"""From a corpus to batches: every token accounted for, the same bytes by any way (cases O08, O17, O19, O20)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import ConfigError, DataError, MissingExtra
from ropewalk.data import encoder
from ropewalk.data.corpus import Corpus
from ropewalk.data.loader import Loader
from ropewalk.data.mixture import Mixture as Mixed
from ropewalk.data.tokenizer import END, Tokenizer
from ropewalk.data.tokens import Tokens
from ropewalk.pipeline.recipe import Recipe
from ropewalk.pipeline.stages.clean import Clean
from ropewalk.pipeline.stages.mixture import Mixture
from ropewalk.pipeline.stages.pack import Pack
from ropewalk.pipeline.stages.tokenizer import TrainTokenizer
from ropewalk.pipeline.stages.train import Train
from ropewalk.pipeline.stages.windows import Windows
from token_kit import make_corpus

TEXTS = [f"document {n} tells of {' and '.join(str(n * k) for k in range(n % 23 + 1))}" for n in range(60)]


class Place:
    """A store and a folder of runs; makes artifacts of stages."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0

    def make(self, stage: Any, seed: int = 0, **inputs: Any) -> Any:
        self.number += 1
        return stage.run(name=f"made{self.number}", store=self.folder / "store", runs=self.folder / "runs", seed=seed, quiet=True, **inputs)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Tokenizer]:
    folder = tmp_path_factory.mktemp("made")
    corpus = make_corpus(folder / "corpus", TEXTS)
    return corpus, Place(folder).make(TrainTokenizer(input="x", size=300), input=corpus)


def files(artifact: Artifact) -> dict[str, str]:
    return {name: facts["hash"] for name, facts in artifact.manifest.files.items()}


def test_both_engines_make_the_same_tokenizer_and_the_same_tokens(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    pytest.importorskip("gigatoken")
    corpus, _ = made
    slow = place.make(TrainTokenizer(input="x", size=300, engine="tokenizers"), input=corpus)
    fast = place.make(TrainTokenizer(input="x", size=300, engine="gigatoken"), input=corpus)
    assert (slow.path / "tokenizer.json").read_bytes() == (fast.path / "tokenizer.json").read_bytes()
    assert slow.key != fast.key and place.make(TrainTokenizer(input="x", size=300), input=corpus).key == fast.key
    assert (slow.manifest.metrics["trained_by"], fast.manifest.metrics["trained_by"]) == ("tokenizers", "gigatoken")
    packs = []
    for number, engine in enumerate(("tokenizers", "gigatoken")):
        other = Place(place.folder / str(number))
        packs.append(other.make(Pack(input="x", tokenizer="y", length=32, engine=engine), input=corpus, tokenizer=slow))
    assert files(packs[0]) == files(packs[1]) and packs[0].key == packs[1].key


def test_engines_that_differ_are_a_warning_and_tokenizers_encodes(
    place: Place, made: tuple[Corpus, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, words = made
    monkeypatch.setattr(encoder, "check_encoder", lambda *given: "its ids of 'x' are others")
    packed = place.make(Pack(input="x", tokenizer="y", length=32), input=corpus, tokenizer=words)
    assert packed.manifest.metrics["encoded_by"] == "tokenizers"
    logs = [path.read_text() for path in (place.folder / "runs").rglob("run.log")]
    assert any("encoded with tokenizers, not gigatoken: its ids of 'x' are others" in log for log in logs)


def test_facts_stand_in_the_tokenizer(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    corpus, words = made
    compared = place.make(TrainTokenizer(input="x", size=300, compare=words.path), input=corpus)
    metrics = compared.manifest.metrics
    assert metrics["compare/bytes_per_token"] == metrics["bytes_per_token"] > 1 and metrics["changed_characters"] == 0
    assert json.loads((compared.path / "facts.json").read_text())["longest_tokens"]


def test_a_loaded_tokenizer_is_measured_and_gets_control_tokens(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    corpus, words = made
    loaded = place.make(TrainTokenizer.model_validate({"from": words.path, "input": "x", "special": "chatml"}), input=corpus)
    assert loaded.vocabulary().controls.keys() == {END, "<|im_start|>", "<|im_end|>"} and loaded.manifest.metrics["bytes_per_token"] > 1
    alone = place.make(TrainTokenizer.model_validate({"from": words.path / "tokenizer.json"}))
    assert alone.vocabulary().size == words.vocabulary().size and alone.manifest.metrics["changed_characters"] == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input": "x", "size": 256}, "256 is too small: set at least 257"),
        ({"input": "x", "size": 257, "kind": "unigram"}, "set at least 258"),
        ({"input": "x", "kind": "wordpiece"}, "each training of wordpiece finds another vocabulary"),
        ({"input": "x", "byte_fallback": True}, "bpe merges bytes"),
        ({"input": "x", "engine": "gigatoken", "pretokenizer": "gpt4"}, "gpt2 pretokenizer only"),
        ({"from": "/nowhere"}, "nothing is at /nowhere"),
        ({"input": "x", "compare": "/nowhere"}, "nothing is at /nowhere"),
    ],
)
def test_what_a_tokenizer_can_not_be_is_said_before_any_work(place: Place, made: tuple[Corpus, Tokenizer], fields: Any, said: str) -> None:
    inputs = {"input": made[0]} if "input" in fields else {}
    with pytest.raises(ConfigError, match=said):
        place.make(TrainTokenizer.model_validate(fields), **inputs)


@pytest.mark.parametrize("fields", [{}, {"from": "/a", "size": 300}, {"from": "/a", "kind": "unigram"}])
def test_a_tokenizer_is_trained_or_loaded(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs input|is not trained"):
        TrainTokenizer.model_validate(fields)


def test_an_engine_that_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="gigatoken"):
        TrainTokenizer(input="x", engine="gigatoken").fingerprint()
    assert "gigatoken" not in TrainTokenizer(input="x").fingerprint()


@pytest.mark.parametrize("packing", ["best_fit", "concat", "pad"])
def test_137_documents_are_all_there_once(place: Place, made: tuple[Corpus, Tokenizer], packing: Any) -> None:
    generator = np.random.default_rng(0)
    corpus = make_corpus(place.folder / "c", ["x" * int(size) for size in generator.integers(0, 200, 137)], shards=3)
    packed: Tokens = place.make(Pack(input="x", tokenizer="y", length=64, packing=packing), input=corpus, tokenizer=made[1])
    numbers = packed.manifest.metrics
    assert packed.documents["id"].to_pylist() == [f"doc{n}" for n in range(137)]
    lengths = packed.documents["length"].to_numpy()
    plan = packed.sequences("train")
    assert numbers["tokens_in"] == numbers["tokens_kept"] == lengths.sum() == len(packed.tokens) and numbers["tokens_cropped"] == 0
    assert plan.positions == (lengths - 1).sum() == plan.trained.sum()
    assert numbers["tokens_padded"] == len(plan) * 64 - plan.positions
    loader = Loader(packed, "train", 7, 0)
    read = sum(int((loader.at(step).documents > 0).sum()) for step in range(loader.steps_per_epoch))
    assert read == plan.positions


def test_ends_stand_once_and_as_asked(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    corpus = make_corpus(place.folder / "c", ["one", f"{END}two{END}", "", "three"], shards=1)
    vocabulary = made[1].vocabulary()
    plain = [vocabulary.encode([text])[0].tolist() for text in ("one", f"{END}two{END}", "", "three")]
    for bos, eos in ((True, True), (False, True), (True, False), (False, False)):
        packed: Tokens = place.make(Pack(input="x", tokenizer="y", length=32, bos=bos, eos=eos), input=corpus, tokenizer=made[1])
        assert [document.tokens.tolist() for document in packed.read("train")] == [[0] * bos + ids + [0] * eos for ids in plain]
        assert packed.manifest.metrics["spelt_controls"] == 2
        alone = sum(len(ids) + bos + eos == 1 for ids in plain)
        assert packed.manifest.metrics["tokens_cropped"] == alone
    asked: Tokens = place.make(Pack(input="x", tokenizer="y", length=32, controls="ids"), input=corpus, tokenizer=made[1])
    two = vocabulary.encode(["two"])[0].tolist()
    assert [document.tokens.tolist() for document in asked.read("train")][1] == [0, *two, 0]


@pytest.mark.parametrize("texts", [[""], ["a"], ["", "b" * 3000, ""], ["c " * 400]])
@pytest.mark.parametrize("length", [1, 64])
def test_odd_documents_are_packed_whole(place: Place, made: tuple[Corpus, Tokenizer], texts: list[str], length: int) -> None:
    packed: Tokens = place.make(
        Pack(input="x", tokenizer="y", length=length), input=make_corpus(place.folder / "c", texts, 1), tokenizer=made[1]
    )
    assert packed.sequences("train").positions == sum(len(ids) + 1 for ids in made[1].vocabulary().encode(texts))


def test_a_document_of_30_megabytes(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    pytest.importorskip("gigatoken")
    corpus = make_corpus(place.folder / "c", ["a line of text that is long\n" * 1_100_000, "short"], shards=1)
    packed: Tokens = place.make(Pack(input="x", tokenizer="y", length=2048), input=corpus, tokenizer=made[1])
    numbers = packed.manifest.metrics
    assert numbers["text_bytes"] > 30_000_000 and numbers["train/fill"] > 0.999
    assert packed.sequences("train").positions == numbers["tokens_in"] - 2


def test_a_store_cut_short_is_found(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    packed: Tokens = place.make(Pack(input="x", tokenizer="y", length=32), input=made[0], tokenizer=made[1])
    body = (packed.path / "tokens.bin").read_bytes()
    (packed.path / "tokens.bin").write_bytes(body[:-4])
    assert packed.manifest.verify(packed.path) == [f"tokens.bin: {len(body) - 4} bytes, should be {len(body)}"]
    with pytest.raises(DataError, match="should be"):
        Loader(Tokens.open(packed.path), "train", 2, 0)


def test_another_tokenizer_encodes_anew_and_its_tokens_are_refused_by_the_model(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    corpus, a = made
    b = place.make(TrainTokenizer(input="x", size=350), input=corpus)
    packs = [place.make(Pack(input="x", tokenizer="y", length=16), input=corpus, tokenizer=words) for words in (a, b)]
    assert packs[0].key != packs[1].key and packs[0].facts.tokenizer_key != packs[1].facts.tokenizer_key
    tiny = {"type": "gpt", "preset": "llama-tiny", "depth": 1, "context": 16}
    common = {"data": "x", "budget": {"steps": 1}, "batch": {"sequences": 2}, "evaluate": {"every": 0}}
    model = place.make(Train.model_validate({**common, "model": tiny}), data=packs[0])
    with pytest.raises(DataError, match="another tokenizer"):
        place.make(Train.model_validate({**common, "init": "m"}), data=packs[1], init=model)
    for text in (False, True):
        part = {"a": {"data": f"path:{packs[0].path}"}, "b": {"data": f"path:{packs[text].path}"}}
        if text:
            with pytest.raises(DataError, match="another tokenizer"):
                place.make(Mixture.model_validate({"parts": part}))
        else:
            place.make(Mixture.model_validate({"parts": part}))


def test_windows_are_packed_and_what_they_share_is_said(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    stage = Windows(input="x", tokenizer="y", length=32, stride=24, holdout=0.2)
    found: Tokens = place.make(stage, input=made[0], tokenizer=made[1])
    plain: Tokens = place.make(Pack(input="x", tokenizer="y", length=32, holdout=0.2), input=made[0], tokenizer=made[1])
    assert found.manifest.metrics["train/trained_tokens"] == plain.manifest.metrics["train/trained_tokens"]
    assert found.manifest.metrics["train/overlap"] > 0 and files(found)["tokens.bin"] == files(plain)["tokens.bin"]
    both: Tokens = place.make(stage.model_copy(update={"count_overlap": True}), input=made[0], tokenizer=made[1])
    assert both.manifest.metrics["train/trained_tokens"] == found.manifest.metrics["train/positions"]
    with pytest.raises(ValueError, match="would be lost"):
        Windows(input="x", tokenizer="y", length=32, stride=33)


def mixed(place: Place, made: tuple[Corpus, Tokenizer], **fields: Any) -> Mixed:
    corpus, words = made
    stores = [place.make(Pack(input="x", tokenizer="y", length=length, holdout=0.2), input=corpus, tokenizer=words) for length in (16, 32)]
    parts = fields.pop("parts", {"short": {}, "long": {}})
    for store, part in zip(stores, parts.values(), strict=True):
        part["data"] = f"path:{store.path}"
    return place.make(Mixture.model_validate({"parts": parts, **fields}))  # type: ignore[no-any-return]


def test_a_model_learns_from_a_mixture_with_courses(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    parts = {"short": {"weight": {"start": 1, "end": 0}}, "long": {"weight": 1, "max_epochs": 3}}
    mixture = mixed(place, made, parts=parts, row_length={"start": 8}, order={"by": "length", "spread": 0.2})
    assert mixture.manifest.metrics["short/share"] == 0.5
    stage = {"data": "x", "budget": {"steps": 12}, "batch": {"sequences": 4}, "result": "last", "evaluate": {"every": 12}}
    model = {"type": "gpt", "preset": "llama-tiny", "depth": 1, "context": 32}
    found = [Place(place.folder / str(n)).make(Train.model_validate({**stage, "model": model}), data=mixture) for n in (0, 1)]
    assert files(found[0])["model.safetensors"] == files(found[1])["model.safetensors"]
    assert found[0].manifest.metrics["steps"] == 12 and found[0].manifest.metrics["holdout_loss"] < 6


def test_budgets_temperature_and_size_give_shares(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    by_size = mixed(place, made).manifest.metrics
    assert by_size["short/share"] == pytest.approx(by_size["short/positions"] / (by_size["short/positions"] + by_size["long/positions"]))
    assert mixed(place, made, temperature=1e9).manifest.metrics["long/share"] == pytest.approx(0.5)
    budgets = mixed(place, made, parts={"short": {"tokens": 300}, "long": {"tokens": 900}})
    assert budgets.manifest.metrics["long/share"] == 0.75 and all(rule.most for rule in budgets.rules)


def test_a_mixture_orders_by_a_score_of_clean(place: Place, made: tuple[Corpus, Tokenizer]) -> None:
    cleaned = place.make(Clean.model_validate({"input": "x", "steps": [{"type": "length", "min_words": 1}]}), input=made[0])
    store: Tokens = place.make(Pack(input="x", tokenizer="y", length=32, packing="pad"), input=cleaned, tokenizer=made[1])
    scores = {"by": "score", "scores": f"path:{cleaned.path}"}

    def made_with(score: str) -> Mixed:
        return place.make(  # type: ignore[no-any-return]
            Mixture.model_validate({"parts": {"a": {"data": f"path:{store.path}"}}, "order": {**scores, "score": score}})
        )

    import pyarrow.parquet as pq

    name = next(n for n in pq.read_table(next((cleaned.path / "scores").glob("*.parquet"))).column_names if n.endswith("words"))
    order = made_with(name).easiest(0)
    assert order is not None and sorted(order) == list(range(len(store.sequences("train"))))
    with pytest.raises(DataError, match="has no score 'nonsense'"):
        made_with("nonsense")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"parts": {"a": {"data": "x", "weight": 1}, "b": {"data": "y"}}}, "b has neither weight nor tokens"),
        ({"parts": {"a": {"data": "x", "weight": 1}}, "temperature": 2}, "temperature is for parts without"),
        ({"parts": {"a": {"data": "x", "weight": 0}}}, "all weights are 0"),
        ({"parts": {"a": {"data": "x", "weight": {"start": 1, "end": 0}}}}, "all weights are 0"),
        ({"parts": {"../a": {"data": "x"}}}, "a part's name is letters"),
        ({"parts": {}}, "at least 1"),
        ({"parts": {"a": {"data": "x", "weight": {"start": 1, "end": 2, "from": 0.5, "until": 0.2}}}}, "comes after until"),
        ({"parts": {"a": {"data": "x"}}, "order": {"by": "score"}}, "needs scores"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Mixture.model_validate(fields)


def test_references_of_parts_are_checked(made: tuple[Corpus, Tokenizer]) -> None:
    parts = {"a": {"data": f"path:{made[0].path}"}}
    with pytest.raises(ConfigError, match="Tokens"):
        Recipe(name="r", stages={"mix": Mixture.model_validate({"parts": parts})}).plan()
