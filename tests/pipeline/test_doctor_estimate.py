"""What a machine is said to have, and what a plan says that training will take, against what it took."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.pipeline import doctor
from ropewalk.pipeline.estimate import estimate, in_words
from ropewalk.pipeline.recipe import load, loads

TINY = Path(__file__).parents[2] / "recipes" / "tiny.yaml"


def test_the_doctor_names_what_auto_picks_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {row["what"]: row for row in doctor.machine_rows()}
    assert rows["device: auto"]["found"] in ("cpu", "cuda") and rows["precision: auto"]["found"] in ("fp32", "bf16")
    assert "GiB" in rows["memory"]["found"] and "free" in rows["store"]["note"] and rows["text kernels"]["found"].startswith("numba")
    monkeypatch.setattr(doctor, "_installed", lambda name: False)
    extras = doctor.extra_rows()
    assert {"[hf]", "[lora]", "[ray]"} <= {row["what"] for row in extras} and not {"[dev]", "[docs]"} & {row["what"] for row in extras}
    assert all(row["found"].startswith("missing ") and row["note"] == f"pip install 'ropewalk{row['what']}'" for row in extras)


def test_parameters_and_disk_are_exact(tmp_path: Path) -> None:
    recipe = load(TINY, [f"store={tmp_path / 'store'}", f"runs={tmp_path / 'runs'}", "base.budget.steps=5", "base.average=null"])
    found = estimate(recipe, "base")
    run = recipe.run("base", quiet=True)
    model = run["base"]
    assert found["parameters"] == model.manifest.metrics["parameters"]
    assert found["tokens"] == 5 * 8 * 64 and found["flops"] == found["tokens"] * found["flops_per_token"]
    size = model.manifest.files["model.safetensors"]["bytes"]
    assert found["weights_bytes"] <= size < found["weights_bytes"] + 4096
    from ropewalk.models.gpt import GPT

    stage = recipe.stages["base"]
    module = GPT(preset="qwen3-tiny", depth=2, width=32, heads=2, context=128).build(512, seed=0)
    floats = sum(tensor.numel() for tensor in stage.optimizer.build(list(module.named_parameters())).state().values())  # type: ignore[attr-defined]
    assert found["optimizer_bytes"] == pytest.approx(4 * floats, abs=4 * 100)  # step counters


def test_fine_tuning_is_estimated_through_its_start_and_other_stages_are_not() -> None:
    recipe = load(TINY)
    assert estimate(recipe, "sft")["parameters"] == estimate(recipe, "base")["parameters"]
    assert estimate(recipe, "clean") == {} and in_words({}) == []
    assert any("parameters" in line for line in in_words(estimate(recipe, "base")))
    from_folder = (
        "stages:\n  t: {type: train, data: p, model: gpt, budget: {epochs: 1}}\n  p: {type: pack, input: r, tokenizer: v, length: 8}\n"
    )
    rest = "  r: {type: load, source: python_docs}\n  v: {type: tokenizer, input: r, size: 300}\n"
    found = estimate(loads(from_folder + rest), "t")
    assert found["parameters"] > 0 and "tokens" not in found and len(in_words(found)) == 3
