"""What a machine is said to have, and what a plan says that training will take, against what it took."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ropewalk.core.errors import DiskError, OutOfMemory
from ropewalk.hardware.memory import available_bytes
from ropewalk.models.gpt import GPT
from ropewalk.optim.adamw import AdamW
from ropewalk.pipeline import doctor
from ropewalk.pipeline.estimate import estimate, in_words, refuse
from ropewalk.pipeline.forecast import forecast
from ropewalk.pipeline.probe import Probe, run_probe
from ropewalk.pipeline.recipe import load, loads
from ropewalk.tasks.lm import LanguageModelling

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


def test_the_probe_counts_activations_and_tells_time_and_memory(tmp_path: Path) -> None:
    places = [f"store={tmp_path / 'store'}", f"runs={tmp_path / 'runs'}"]
    recipe = load(TINY, [*places, "base.budget.steps=12", "base.evaluate.every=6"])
    store = tmp_path / "store"
    found = forecast(recipe, "base", store)
    half = forecast(load(TINY, [*places, "base.budget.steps=12", "base.batch.micro_batch=2"]), "base", store)
    # The output layer's share of the activations is a chunk of rows; all else is in proportion to the micro-batch.
    assert found["activation_bytes"] == pytest.approx(2 * half["activation_bytes"], rel=0.02)
    assert found["peak_bytes"] > found["activation_bytes"] and found["seconds"] > 3
    kept = list((store / ".probes").glob("*.json"))
    assert len(kept) == 2 and forecast(recipe, "base", store) == found, "asked once a machine"
    longer = forecast(load(TINY, [*places, "base.budget.steps=1200", "base.evaluate.every=6"]), "base", store)
    assert longer["seconds"] - 3 == pytest.approx(100 * (found["seconds"] - 3), rel=0.05)
    assert "seconds" not in forecast(recipe, "sft", store, probe_from_flops=1e18), "too small to be worth a probe"


def test_activations_are_counted_as_autograd_keeps_them() -> None:
    """Counted without computing on the meta device, against a real forward pass; attention's small statistics are the difference."""
    model = GPT(preset="qwen3-tiny", depth=2)
    probe = Probe(model, 64, AdamW(), LanguageModelling(), 2, 32, "cpu", "fp32", None, False, 1 << 60)
    module = model.build(64, 0).train()
    kept: dict[int, torch.UntypedStorage] = {}
    weights = {id(storage): storage for storage in (parameter.untyped_storage() for parameter in module.parameters())}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in weights:
            kept[id(storage)] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = module(torch.zeros(2, 32, dtype=torch.long))
    real = sum(storage.nbytes() for storage in kept.values()) + 4 * hidden.numel()
    counted = run_probe(probe)
    assert counted.activation_bytes == pytest.approx(real, rel=0.005) and counted.peak_bytes == 0, "what can't fit is only counted"


def test_what_cannot_fit_is_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [f"store={tmp_path / 'store'}", f"runs={tmp_path / 'runs'}"]
    recipe = load(TINY, places)
    with monkeypatch.context() as less:
        less.setattr("ropewalk.pipeline.estimate.available_bytes", lambda device: 1 << 10)
        with pytest.raises(OutOfMemory, match=r"base: .* parameters take .* of memory .*1\.0 KiB are free on cpu") as caught:
            recipe.run(quiet=True)
        assert "smaller model" in caught.value.remedy and not list((tmp_path / "store").glob("Corpus/*"))
    found = {**estimate(recipe, "base"), "activation_bytes": 1 << 60}
    with pytest.raises(OutOfMemory, match="activations") as caught:
        refuse(recipe, "base", found, tmp_path)
    assert "micro_batch" in caught.value.remedy
    with pytest.raises(DiskError, match=r"checkpoints take 1\.0 EiB|checkpoints take .* TiB of disk"):
        refuse(recipe, "base", {**estimate(recipe, "base"), "checkpoints_bytes": 1 << 60}, tmp_path / "new" / "folder")


def test_available_memory_is_what_is_free_here() -> None:
    assert 1 << 20 < available_bytes("cpu") < 1 << 45


def test_recomputation_keeps_one_block_and_each_ones_input() -> None:
    model, width = GPT(preset="llama-tiny", depth=12), GPT(preset="llama-tiny").shape().width
    with_all, without = (
        run_probe(Probe(model, 64, AdamW(), LanguageModelling(), 2, 32, "cpu", "fp32", None, recompute, 1 << 60)).activation_bytes
        for recompute in (False, True)
    )
    one = run_probe(Probe(GPT(preset="llama-tiny", depth=1), 64, AdamW(), LanguageModelling(), 2, 32, "cpu", "fp32", None, False, 1 << 60))
    inputs = 12 * 4 * 2 * 32 * width
    assert one.activation_bytes + inputs < without < one.activation_bytes * 2 + inputs and without < 0.6 * with_all
