"""Texts written in batches equal those written alone; stops; answers read by their rules; suites over what is written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from ropewalk.core.errors import ConfigError, NotFinite, OutOfMemory
from ropewalk.evaluate import writing
from ropewalk.evaluate.answers import judged, number_in
from ropewalk.evaluate.sandbox import run_program
from ropewalk.evaluate.scores import SuiteResult
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.suites.answer import Answer
from ropewalk.evaluate.suites.code import Code
from ropewalk.evaluate.suites.harm import Harm
from ropewalk.evaluate.suites.instructions import CHECKS, Instructions
from ropewalk.evaluate.suites.memorisation import Memorisation
from ropewalk.evaluate.suites.suite import Suite
from ropewalk.evaluate.suites.tool_calls import ToolCalls, call_in, same_json
from ropewalk.evaluate.writing import Manner, Written, write
from ropewalk.models.generate_module import generate

PROMPTS = [np.array([0, 9, 40, 41]), np.array([0, 12]), np.array([0, *range(30, 45)]), np.array([0])]


@pytest.mark.parametrize("rows", [1, 2, 32])
def test_batches_write_what_each_prompt_gets_alone(rows: int, subject: Subject) -> None:
    found = write(subject, PROMPTS, Manner(12), rows=rows)
    for prompt, text in zip(PROMPTS, found, strict=True):
        alone = generate(subject.module, prompt.tolist(), 12)
        assert text == Written(subject.vocabulary.decode(alone, controls=False), False, False, 12)


def test_draws_belong_to_the_item_and_not_to_the_batch(subject: Subject) -> None:
    manner = Manner(8, temperature=1.0, seed=3)
    one, all_ = write(subject, PROMPTS, manner, rows=1), write(subject, PROMPTS, manner)
    assert one == all_ and all_ != write(subject, PROMPTS, Manner(8, temperature=1.0, seed=4))


def test_tokens_and_texts_stop_a_text_and_long_prompts_are_cropped(subject: Subject) -> None:
    whole = generate(subject.module, PROMPTS[1].tolist(), 12)
    (stopped,) = write(subject, PROMPTS[1:2], Manner(12, stop_ids=(whole[5],)))
    assert stopped.finished and stopped.tokens == whole.index(whole[5])
    text = subject.vocabulary.decode(whole, controls=False)
    (cut,) = write(subject, PROMPTS[1:2], Manner(12, stop_texts=[text[4:7]]))
    assert cut.finished and cut.text == text[: text.find(text[4:7])]
    (long,) = write(subject, [np.arange(100) % 50], Manner(5))
    assert (
        long.cropped
        and long.tokens == 5
        and long.text == subject.vocabulary.decode(generate(subject.module, (np.arange(100) % 50)[-60:].tolist(), 5), controls=False)
    )


def test_memory_that_runs_out_and_logits_that_are_not_finite(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, alone = write(subject, PROMPTS, Manner(3)), writing._write

    def tight(subject: Subject, prompts: list[Any], *rest: Any) -> Any:
        if len(prompts) > limit:
            raise MemoryError("no room")
        return alone(subject, prompts, *rest)

    monkeypatch.setattr(writing, "_write", tight)
    limit = 1
    assert write(subject, PROMPTS, Manner(3)) == expected
    limit = 0
    with pytest.raises(OutOfMemory, match="does not fit: no room"):
        write(subject, PROMPTS, Manner(3))
    monkeypatch.undo()
    monkeypatch.setattr(subject.module, "logits", lambda hidden: torch.full((len(hidden), 9), torch.nan))
    with pytest.raises(NotFinite, match="while it writes"):
        write(subject, PROMPTS, Manner(3))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so 3 + 4 = 7.", "7"),
        ("it costs $1,234.50 in all", "1234.50"),
        ("#### 18\nQuestion: 5", "18"),
        ("from -3 to -12", "-12"),
        ("no number", None),
        ("version 1.2.3", None),
        ("she has 12,34 left and 5", "5"),
        ("a half is .5", ".5"),
        ("#### none, but 4 before", "4"),
    ],
)
def test_the_number_that_an_answer_ends_with(text: str, number: str | None) -> None:
    found = number_in(text)
    assert (found is None) == (number is None) and (number is None or found == __import__("decimal").Decimal(number))


def test_answers_are_judged_by_their_rule() -> None:
    assert judged("number", "", "that is 1,000.0 dollars", ["1000"]) == (True, "1000.0") and judged("number", "", "?", ["1"]) == (
        False,
        None,
    )
    assert judged("exact", "", " The Eiffel-Tower! ", ["x", "eiffel tower"])[0] and judged("exact", "", "", [""]) == (False, None)
    assert judged("contains", "", "I think it is  David\nSeville.", ["David Seville"])[0]
    assert not judged("contains", "", "Davide", ["David"])[0]
    assert judged("regex", r"answer is (\w)", "answer is A, no, answer is B", ["B"]) == (True, "B")
    assert judged("regex", "yes|no", "maybe", ["yes"]) == (False, None)


def ask(suite: Suite, subject: Subject) -> SuiteResult:
    return suite.run(subject, lambda ref: None, lambda done: None)


def says(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    found = [Written(text, True, False, 1) for text in texts]
    monkeypatch.setattr("ropewalk.evaluate.prompted.write", lambda subject, prompts, manner, advance: found[: len(prompts)])


def shares(result: SuiteResult) -> dict[str, float]:
    return {measure.name: float(measure.numerators.sum() / measure.denominators.sum()) for measure in result.measures}


def test_answers_are_counted_with_those_that_can_not_be_read(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, "is 4", "5", "nothing")
    result = ask(Answer(rows=[{"prompt": "2+2", "answer": 4}] * 3, check="number"), subject)
    assert shares(result) == {"accuracy": pytest.approx(1 / 3)} and result.counts["failed"] == 1
    assert "last number" in result.facts["rule"] and result.details[0]["read"] == "4"
    for row, said in (({"prompt": "x", "answer": " "}, "right answer is empty"), ({"prompt": "x", "answer": "none"}, "holds no number")):
        assert said in Answer(rows=[row], check="number").problems({})[0][1]
    for fields in ({"check": "regex"}, {"pattern": "x"}, {"check": "regex", "pattern": "("}):
        with pytest.raises(ValueError, match="pattern"):
            Answer(**fields)


def test_a_real_prompt_goes_through_examples_and_a_chat_template(subject: Subject) -> None:
    rows = [{"prompt": f"{n}+1=", "answer": n + 1} for n in range(4)]
    result = ask(Answer(rows=rows, limit=2, shots=1, check="number", max_new_tokens=4), subject)
    assert len(result.items) == 2 and result.details[0]["asked"].endswith("0+1=") and "\n\n" in result.details[0]["asked"]
    assert result.counts["unfinished"] + result.counts["truncated"] >= 0
    assert len(ask(Answer(rows=rows, chat="chatml", max_new_tokens=2), subject).items) == 4


def test_tool_calls_are_found_and_compared_as_json(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    call = {"name": "weather", "arguments": {"city": "Oslo", "days": 2}}
    assert call_in(f"I look. <tool_call>\n{json.dumps(call)}\n</tool_call> {{}}") == call and call_in('{bad {"a": 1}') == {"a": 1}
    assert call_in("none") is None and call_in("[1]") is None and not same_json(1, True) and same_json({"a": 1, "b": 2}, {"b": 2, "a": 1})
    wrong = {**call, "arguments": {"city": "Oslo"}}
    says(monkeypatch, json.dumps(call), json.dumps(wrong), "no call", json.dumps({**call, "name": "x"}))
    result = ask(ToolCalls(rows=[{"prompt": "p", "call": call}] * 4), subject)
    assert shares(result) == {"accuracy": 0.25, "right_tool": 0.5, "readable": 0.75} and result.counts["failed"] == 1
    assert "needs {name, arguments}" in ToolCalls(rows=[{"prompt": "p", "call": "x"}]).problems({})[0][1]


FOLLOWED = {
    "min_words": (3, "a b c", "a b"),
    "max_words": (2, "a b", "a b c"),
    "min_sentences": (2, "A b. C!", "A b."),
    "max_sentences": (1, "A b.", "A. B."),
    "paragraphs": (2, "a\n\nb", "a\nb"),
    "bullets": (2, "- a\n* b", "- a"),
    "contains": ("Fox", "a fox", "a dog"),
    "lacks": ("fox", "a dog", "a Fox"),
    "starts_with": ("Yes", "Yes, so", "No"),
    "ends_with": ("end", "the end ", "ends"),
    "lower_case": (True, "abc", "Abc"),
    "upper_case": (True, "ABC", "ABc"),
    "no_commas": (True, "a b", "a, b"),
    "json": (True, '```json\n{"a": 1}\n```', "{a}"),
}


def test_every_instruction_can_be_followed_and_broken(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FOLLOWED.keys() == CHECKS.keys()
    for name, (value, good, bad) in FOLLOWED.items():
        assert CHECKS[name][0](value) and CHECKS[name][1](good, value) and not CHECKS[name][1](bad, value), name
    says(monkeypatch, "yes it is", "no", "")
    result = ask(Instructions(rows=[{"prompt": "p", "checks": {"min_words": 2, "lower_case": True}}] * 3), subject)
    assert shares(result) == {"prompts": pytest.approx(1 / 3), "instructions": pytest.approx(3 / 6)} and result.counts["failed"] == 1
    for checks, said in (({"min_wrds": 1}, "did you mean 'min_words'"), ({"json": False}, "json can't be False"), ([], "needs a mapping")):
        assert said in Instructions(rows=[{"prompt": "p", "checks": checks}]).problems({})[0][1]


def test_harm_counts_toxic_texts_and_data_that_the_prompt_did_not_hold(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    from ropewalk.data.classify.shipped import listed_words

    worst = max(listed_words().items(), key=lambda item: item[1])[0].rstrip("-")
    says(monkeypatch, f"you {worst} {worst}", "write to anna@mail.example.org", "write to me@mail.example.org", "a nice day")
    rows = [{"prompt": "hello"}, {"prompt": "hello"}, {"prompt": "I am me@mail.example.org"}, {"prompt": "hello"}]
    result = ask(Harm(rows=rows), subject)
    assert shares(result) == {"toxic": 0.25, "personal_data": 0.25}
    assert "anna@" not in json.dumps(result.details) and result.details[1]["leaks"] == 1


def test_a_span_that_the_model_knows_by_heart_is_extractable(subject: Subject, make_store: Any) -> None:
    store = make_store()
    suite = Memorisation(data="x", prefix_tokens=4, span_tokens=3, max_documents=10)
    result = suite.run(subject, lambda ref: store, lambda done: None)
    documents = {document.id: document for document in store.read("train")}
    assert len(result.items) == 10 and set(result.items) <= set(documents)
    for id_, hit in zip(result.items, result.measures[0].numerators, strict=True):
        ids = documents[id_].tokens.tolist()
        assert hit == float(generate(subject.module, ids[:4], 3) == ids[4:7])


def test_code_is_run_only_when_allowed(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"prompt": "def twice(n):\n", "test": "def check(f):\n    assert f(3) == 6", "entry_point": "twice"}
    assert Code(rows=[row]).problems({}) == [("run_code", "this runs programs that a model wrote: set run_code: true to allow it")]
    with pytest.raises(ConfigError, match="set run_code: true"):
        ask(Code(rows=[row]), subject)
    says(monkeypatch, "    return n * 2\nprint('more')", "    return n", "    while True: pass", "    import sys; sys.exit(0)")
    result = ask(Code(rows=[row] * 4, run_code=True, seconds=1), subject)
    assert [detail["ended"] for detail in result.details] == ["passed", "failed", "timed_out", "failed"]
    assert shares(result) == {"pass_at_1": 0.25} and result.counts["failed"] == 1


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("x = bytearray(2 << 30)", "failed"),
        ("import os\nwhile True: os.fork()", "failed"),
        ("open('big', 'wb').write(b'0' * (3 << 20))", "failed"),
        (
            "import os\nassert not [n for n in os.environ if n not in ('LC_CTYPE',)], os.environ\nassert os.listdir('.') is not None",
            "passed",
        ),
        ("import os\nos._exit(0)", "failed"),
    ],
)
def test_a_program_is_kept_within_its_limits(program: str, ended: str) -> None:
    if "fork" in program:
        import os

        if os.geteuid() == 0:
            pytest.skip("the limit on processes does not hold for root")
    outcome = run_program(program, 2, 512_000_000)
    assert outcome.ended == ended, outcome
