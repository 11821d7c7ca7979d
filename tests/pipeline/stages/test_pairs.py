"""The stages pairs and render_pairs: every record accounted for, one prompt for both answers, masks on answers only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preference_kit import questions, write_lines
from ropewalk.core.artifact import Artifact, Manifest
from ropewalk.core.errors import DataError
from ropewalk.core.ledger import read_ledger
from ropewalk.data.chat import TEMPLATES
from ropewalk.data.loader import IGNORED, Loader
from ropewalk.data.pairs import Pairs
from ropewalk.data.sources.json import Json
from ropewalk.data.sources.jsonl import Jsonl
from ropewalk.data.tokenizer import CHATML, END, Tokenizer, Vocabulary, save_tokenizer, train_byte_bpe
from ropewalk.data.tokens import Tokens
from ropewalk.pipeline.stages.pairs import MakePairs
from ropewalk.pipeline.stages.render_pairs import RenderPairs

DATA = os.environ.get("DATA_DIR")


@pytest.fixture(scope="module")
def vocab(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("vocab")
    texts = [str(row[name]) for row in questions(40) for name in ("prompt", "chosen", "rejected")]
    save_tokenizer(train_byte_bpe(texts, 320, (END, *CHATML), 2, "gpt2"), folder, TEMPLATES["chatml"].jinja)
    return Tokenizer(folder, Manifest("Tokenizer"))


def pairs_of(make_stage: Any, folder: Path, rows: list[Any], **fields: Any) -> tuple[Pairs, Any]:
    source = Jsonl(path=str(write_lines(folder / "rows.jsonl", rows)), license="MIT")
    made: tuple[Pairs, Any] = make_stage(MakePairs(source=source, **fields), folder="pairs")
    return made


def test_what_is_odd_is_counted_and_listed(make_stage: Callable[..., Any], tmp_path: Path) -> None:
    first, second, third, *_ = questions(6)
    rows = [
        first,
        {**first, "id": "again"},
        {**first, "id": "turned", "chosen": first["rejected"], "rejected": first["chosen"]},
        {**second, "chosen": f"{second['prompt']} {second['chosen']}", "rejected": f"{second['prompt']}\n{second['rejected']}"},
        {**third, "chosen": f"{third['prompt']} {third['chosen']}"},
        {**third, "id": "same", "rejected": third["chosen"]},
        {**third, "id": "q0"},
    ]
    pairs, facts = pairs_of(make_stage, tmp_path, rows)
    assert facts.counts == {
        "records_in": 7, "kept": 4, "dropped": 3, "quarantined": 0,
        "dropped/prompt_in_one_answer": 1, "dropped/same_answers": 1, "dropped/same_id_again": 1,
    }  # fmt: skip
    assert facts.metrics["duplicate_pairs"] == 1 and facts.metrics["contradictions"] == 1 and facts.metrics["notes/prompt_repeated"] == 1
    found = {pair.id: pair for pair in pairs.pairs()}
    assert found["q1"].chosen is not None and found["q1"].chosen[0].content == second["chosen"] and found["q1"].license == "MIT"
    reasons = read_ledger(pairs.path)["reason"].to_pylist()
    assert sorted(reasons) == ["prompt_in_one_answer", "prompt_repeated", "same_answers", "same_id_again"]


def test_a_bias_of_length_is_measured(make_stage: Callable[..., Any], tmp_path: Path) -> None:
    rows = [{"prompt": f"Say something about {n}.", "chosen": "long " * (3 + n), "rejected": "short"} for n in range(20)]
    _, facts = pairs_of(make_stage, tmp_path, rows)
    assert facts.metrics["chosen_longer"] == 1.0 and 0.5 < facts.metrics["chosen_longer_low"] < 1
    assert facts.metrics["rejected_characters"] == 5


def test_no_pair_at_all_is_an_error_that_names_the_formats(make_stage: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"none of 1 records is a pair in the hh_rlhf format \(dropped: 1, no_chosen: 1|list pair_formatter"
    ):
        pairs_of(make_stage, tmp_path, [{"a": 1}], formatter="hh_rlhf")


def rendered(make_stage: Any, pairs: Pairs, vocab: Tokenizer, folder: str = "tokens", **fields: Any) -> tuple[Tokens, Any]:
    stage = RenderPairs.model_validate({"input": "wishes", "tokenizer": "vocab", "length": 64, **fields})
    made: tuple[Tokens, Any] = make_stage(stage, {"wishes": pairs, "vocab": vocab}, folder)
    return made


def test_both_answers_stand_behind_the_same_ids_and_only_they_are_scored(
    make_stage: Callable[..., Any], tmp_path: Path, vocab: Tokenizer
) -> None:
    """O28: the prompt once, with the same ids in both; BOS once, and the answer's end is learned."""
    pairs, _ = pairs_of(make_stage, tmp_path, questions(12))
    tokens, facts = rendered(make_stage, pairs, vocab, holdout=0.3)
    words = Vocabulary(vocab.path)
    assert facts.counts["kept"] == 12 == tokens.num_sequences("train") + tokens.num_sequences("holdout")
    by_id = {row["id"]: row for row in questions(12)}
    for split in ("train", "holdout"):
        documents = list(tokens.read(split))  # type: ignore[arg-type]
        assert [document.id for document in documents[::2]] == [document.id for document in documents[1::2]]
        for chosen, rejected in zip(documents[::2], documents[1::2], strict=True):
            prompts = []
            for side, document in (("chosen", chosen), ("rejected", rejected)):
                assert document.mask is not None
                first = int(np.argmax(document.mask))
                assert document.mask[first:].all() and document.tokens[-1] == words.control("<|im_end|>")
                assert words.decode(document.tokens[first:-1].tolist()) == by_id[document.id][side]
                assert document.tokens.tolist().count(words.bos_id) == 1 and document.text_bytes == len(by_id[document.id][side])
                prompts.append(document.tokens[:first].tolist())
            assert prompts[0] == prompts[1]
            assert words.decode(prompts[0]).count(by_id[chosen.id]["prompt"]) == 1
    assert facts.metrics["train/trained_tokens"] + facts.metrics["holdout/trained_tokens"] == int(np.asarray(tokens.mask).sum())


def test_a_batch_holds_whole_pairs_and_weighs_them(make_stage: Callable[..., Any], tmp_path: Path, vocab: Tokenizer) -> None:
    pairs, _ = pairs_of(make_stage, tmp_path, questions(12))
    tokens, _ = rendered(make_stage, pairs, vocab)
    loader = Loader(tokens, "train", 5, seed=1)
    assert [loader.weight(step) for step in range(3)] == [5, 5, 2]
    batch = loader.at(0)
    assert batch.answers == 2 and all(set(row) - {0} == {1, 2} for row in batch.documents.tolist())
    parts = list(loader.micro_batches(batch, 2))
    assert [len(part.sequences) for part in parts] == [2, 2, 1] and all(part.answers == 2 for part in parts)
    assert sum(int((part.targets != IGNORED).sum()) for part in parts) == int((batch.targets != IGNORED).sum())


@pytest.mark.parametrize(("too_long", "kept"), [("drop", 0), ("crop_prompt", 1)])
def test_what_is_too_long_is_dropped_or_loses_its_first_turns(
    make_stage: Callable[..., Any], tmp_path: Path, vocab: Tokenizer, too_long: str, kept: int
) -> None:
    long = [
        {"role": "user", "content": "How do I tie rope? " * 8},
        {"role": "assistant", "content": "So."},
        {"role": "user", "content": "How?"},
    ]
    rows = [{"id": "long", "prompt": long, "chosen": "Please.", "rejected": "No."}, questions(1)[0]]
    pairs, _ = pairs_of(make_stage, tmp_path, rows)
    _, facts = rendered(make_stage, pairs, vocab, too_long=too_long, length=60)
    assert facts.counts["kept"] == 1 + kept and facts.counts.get("dropped/too_long", 0) == 1 - kept
    assert (facts.metrics["cropped_tokens"] > 0) == (too_long == "crop_prompt")
    with pytest.raises(DataError, match="pair 'long' has an answer of"):
        rendered(make_stage, pairs, vocab, "again", too_long="error", length=60)


def test_judged_answers_stand_alone_beside_one_to_another_prompt(make_stage: Callable[..., Any], tmp_path: Path, vocab: Tokenizer) -> None:
    rows = [
        {"id": f"k{n}", "prompt": row["prompt"], "completion": row["chosen"], "label": n % 2 == 0} for n, row in enumerate(questions(4))
    ]
    pairs, _ = pairs_of(make_stage, tmp_path, rows, formatter="kto")
    with pytest.raises(DataError, match=r"no pair is left of 4 .*single_answer"):
        rendered(make_stage, pairs, vocab, "unpaired")
    tokens, facts = rendered(make_stage, pairs, vocab, judged=True)
    words = Vocabulary(vocab.path)
    assert facts.counts["kept"] == tokens.num_sequences("train") == 4 and tokens.answers == 3
    documents = list(tokens.read("train"))
    for number in range(4):
        good, bad, strange = documents[3 * number : 3 * number + 3]
        own, none = (good, bad) if number % 2 == 0 else (bad, good)
        assert len(none.tokens) == 0 and len(own.tokens)
        assert words.decode(own.tokens.tolist()).count(rows[number]["completion"]) == 1
        other = words.decode(strange.tokens.tolist())
        assert rows[number]["prompt"] in other and rows[number]["completion"] not in other


@pytest.mark.skipif(not DATA, reason="DATA_DIR names no real data")
@pytest.mark.parametrize(
    ("source", "formatter", "records", "kept"),
    [
        ("hh_rlhf/harmless_base_test.jsonl.gz", "hh_rlhf", 2312, 2300),
        ("ultrafeedback_schema/dpo_en_demo_messages.jsonl.gz", "chosen_rejected", 300, 295),
        ("llamafactory_dpo/dpo_en_demo.json.gz", "sharegpt_pairs", 300, 295),
        ("kto/kto_en_demo.json.gz", "kto", 300, 300),
    ],
)
def test_real_sets_are_read(make_stage: Callable[..., Any], source: str, formatter: str, records: int, kept: int) -> None:
    path = str(Path(str(DATA)) / "dpo" / source)
    pairs, facts = make_stage(MakePairs(source=Json(path=path) if ".json." in source else Jsonl(path=path), formatter=formatter))
    assert isinstance(pairs, Artifact) and facts.counts["records_in"] == records and facts.counts["kept"] == kept
