"""Batched generation: each row gets what it would get alone, whoever is beside it, and what transformers gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.models.cache_module import BLOCK_SLOTS, KeyValues
from ropewalk.models.folder_module import save_model
from ropewalk.models.generate_module import Rows, draw, generate, generate_rows
from ropewalk.models.gpt import GPT
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.sampling import Sampling

SMALL: dict[str, Any] = {"depth": 2, "width": 32, "heads": 4, "context": 320}
CASES = [
    pytest.param({"preset": "gpt2-tiny", **SMALL}, id="gpt2"),
    pytest.param({"preset": "qwen3-tiny", **SMALL, "kv_heads": 2}, id="qwen3-grouped"),
    pytest.param({"preset": "llama-tiny", **SMALL, "window": 6}, id="window"),
]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [3], [90, 14, 2], [44] * 12, [5, 6, 7]]


def module_of(fields: dict[str, Any]) -> Decoder:
    module = GPT(**fields).build(97, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return module.eval()


@pytest.fixture(scope="module")
def modules() -> dict[str, Decoder]:
    return {str(case.id): module_of(case.values[0]) for case in CASES}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["gpt2", "qwen3-grouped", "window"])
@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_a_batch_gives_each_prompt_what_it_gets_alone(modules: dict[str, Decoder], name: str, at_once: int) -> None:
    module = modules[name]
    alone = [generate(module, prompt, 25) for prompt in PROMPTS]
    assert generate_rows(module, PROMPTS, Sampling(max_tokens=25), at_once=at_once) == alone
    stop = alone[0][8]
    cut = [new[: new.index(stop)] if stop in new else new for new in alone]
    assert generate_rows(module, PROMPTS, Sampling(max_tokens=25), {stop}, at_once=at_once) == cut != alone


def test_draws_belong_to_the_prompt_and_not_to_the_batch(modules: dict[str, Decoder]) -> None:
    module, wish = modules["qwen3-grouped"], Sampling(max_tokens=20, temperature=1.2, top_k=30, top_p=0.9, seed=4)
    alone = [generate_rows(module, [prompt], replace(wish, seed=4 + number))[0] for number, prompt in enumerate(PROMPTS)]
    assert generate_rows(module, PROMPTS, wish) == alone
    assert len({tuple(new) for new in generate_rows(module, [[7]] * 4, wish)}) == 4


def test_greedy_batches_equal_transformers(modules: dict[str, Decoder], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    save_model(tmp_path, modules["qwen3-grouped"], None)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ours = generate_rows(modules["qwen3-grouped"], PROMPTS, Sampling(max_tokens=16))
    for prompt, new in zip(PROMPTS, ours, strict=True):
        found = theirs.generate(torch.tensor([prompt]), max_new_tokens=16, do_sample=False, pad_token_id=0, eos_token_id=None)
        assert found[0, len(prompt) :].tolist() == new


def test_rows_may_join_and_leave_at_any_step(modules: dict[str, Decoder]) -> None:
    module, wish = modules["window"], Sampling(max_tokens=100)
    rows = Rows(module)
    (first,) = rows.join([(PROMPTS[3], wish)])
    for _ in range(5):
        rows.step()
    second, third = rows.join([(PROMPTS[1], wish), (PROMPTS[0], wish)])
    for _ in range(4):
        rows.step()
    rows.leave([second])
    for _ in range(3):
        rows.step()
    assert rows.live == [first, third] and len(second.new) == 5
    assert first.new == generate(module, PROMPTS[3], 13) and third.new == generate(module, PROMPTS[0], 8)
    assert second.new == generate(module, PROMPTS[1], 5)
    rows.leave([first, third])
    (again,) = rows.join([(PROMPTS[2], wish)])
    rows.step()
    assert again.new == generate(module, PROMPTS[2], 2)


def test_the_cache_grows_over_a_block_and_ends_at_the_context(modules: dict[str, Decoder]) -> None:
    module = modules["gpt2"]
    prompt = [1 + number % 90 for number in range(BLOCK_SLOTS - 6)]
    new = generate_rows(module, [prompt, [4, 5]], Sampling(max_tokens=1000))
    assert [len(found) for found in new] == [320 - len(prompt) + 1, 319]
    with torch.no_grad():
        uncached = module.logits(module(torch.tensor([prompt + new[0][:-1]])))[0, len(prompt) - 1 :].argmax(-1).tolist()
    assert new[0] == uncached


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), window=st.sampled_from([0, 3]), steps=st.integers(1, 4))
@settings(max_examples=25)
def test_the_cache_holds_what_was_written_and_masks_the_rest(lengths: list[int], window: int, steps: int) -> None:
    rows, longest = len(lengths), max(lengths)
    cache = KeyValues(rows, 40)
    first = torch.arange(rows * longest, dtype=torch.float32).view(rows, 1, longest, 1) + 1
    cache.write(0, first, -first)
    cache.advance(lengths)
    for step in range(steps):
        new = torch.full((rows, 1, 1, 1), 1000.0 + step)
        mask = cache.mask(cache.positions(1, new.device), window)
        keys, values = cache.write(0, new, -new)
        cache.advance([1] * rows)
        for row, length in enumerate(lengths):
            written = [*first[row, 0, :length, 0].tolist(), *(1000.0 + done for done in range(step + 1))]
            expected = written[-window:] if window else written
            seen = keys[row, 0, :, 0] if mask is None else keys[row, 0, mask.expand(rows, 1, 1, -1)[row, 0, 0], 0]
            assert seen.tolist() == expected and torch.equal(keys, -values)


def test_what_is_drawn_follows_the_odds_and_the_limits() -> None:
    logits = torch.log(torch.tensor([0.5, 0.25, 0.15, 0.1]))
    generator = torch.Generator().manual_seed(1)

    def shares(**wishes: Any) -> list[float]:
        found = [draw(logits, Sampling(temperature=1.0, **wishes), generator) for _ in range(2000)]
        return [found.count(token) / 2000 for token in range(4)]

    assert shares() == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.05)
    assert shares(top_k=2) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.05)
    assert shares(top_p=0.7) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.05)
    assert shares(top_p=0.76)[2] > 0 == shares(top_p=0.76)[3]


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"stop": ("",)}, "stop"),
    ],
)
def test_impossible_wishes_are_named(wishes: dict[str, Any], field: str) -> None:
    assert [name for name, _ in Sampling(**wishes).faults()] == [field]
    assert Sampling().faults() == []
