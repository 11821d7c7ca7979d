"""Preferences end to end: fine-tuning, pairs, DPO beside a base, merging, a gate, export, and the result in transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from preference_kit import write_inputs
from ropewalk.core.alias import history, release, roll_back
from ropewalk.core.artifact import Manifest, commit
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.evaluate.scores import Scores
from ropewalk.models.model import Model
from ropewalk.pipeline.recipe import Recipe, load

RECIPE = Path(__file__).parent / "preference.yaml"


def recipe_in(folder: Path, *overrides: str) -> Recipe:
    if not (folder / "preference.yaml").is_file():
        write_inputs(folder)
        shutil.copyfile(RECIPE, folder / "preference.yaml")
    return load(folder / "preference.yaml", [f"store={folder / 'store'}", f"runs={folder / 'runs'}", *overrides])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preference")
    recipe_in(folder).run(quiet=True)
    return folder


def test_the_merged_model_opens_in_transformers_with_the_adapters_logits(home: Path) -> None:
    """O41: measured, in the manifest, and the same when read elsewhere; the weights are cut into several files."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = recipe_in(home).run(quiet=True)
    assert run.made == []
    model, adapter = run["model"], run["dpo"]
    assert isinstance(model, Model) and isinstance(adapter, Model) and adapter.is_adapter and not model.is_adapter
    assert model.manifest.metrics["weight_files"] > 1 and not (model.path / "model.safetensors").exists()
    assert run["merged"].manifest.metrics["max_logit_difference"] <= 1e-4
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    chat = [{"role": "user", "content": "How do I tie rope 3 in a bowline?"}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)["input_ids"]
    theirs = AutoModelForCausalLM.from_pretrained(model.path).eval()
    with torch.no_grad():
        found = [module.logits(module(ids)) for module in (model.load(), adapter.load())]
        assert all((theirs(ids).logits - logits).abs().max() < 1e-4 for logits in found)
        base = run["sft"]
        assert isinstance(base, Model)
        module = base.load()
        assert (module.logits(module(ids)) - found[0]).abs().max() > 0.01, "the adapter does something"


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft calls what transformers gives up
def test_the_adapters_folder_is_pefts(home: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    run = recipe_in(home).run(quiet=True)
    adapter, base = run["dpo"], run["sft"]
    assert isinstance(adapter, Model)
    theirs = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.path), adapter.path).eval()
    ids = torch.arange(12)[None]
    module = adapter.load()
    with torch.no_grad():
        assert (theirs(ids).logits - module.logits(module(ids))).abs().max() < 1e-4


def test_it_learned_what_is_wanted_and_says_so(home: Path) -> None:
    run = recipe_in(home).run(quiet=True)
    scores = run["scores"]
    assert isinstance(scores, Scores)
    loss = scores.metric("preference/loss")
    assert loss.high < np.log(2) and loss.items == 13 and scores.metric("preference/accuracy").value == 1.0
    trained = run["dpo"].manifest.metrics
    assert trained["trained_parameters"] < trained["parameters"] / 4 and trained["holdout_accuracy"] == 1.0
    rows = [json.loads(line) for line in (run["dpo"].path / "training.jsonl").read_text().splitlines()]
    first = next(row for row in rows if row["event"] == "step")
    assert first["loss"] == pytest.approx(np.log(2), abs=1e-4) and {"reward_chosen", "reward_rejected", "margin", "accuracy", "kl"} < set(
        first
    )
    assert trained["best_holdout_loss"] == pytest.approx(loss.value, abs=2e-4), "the suite and the trainer measure the same"


def test_gguf_and_modelfile_hold_the_same_weights(home: Path) -> None:
    gguf = pytest.importorskip("gguf")
    run = recipe_in(home).run(quiet=True)
    model = run["model"]
    assert isinstance(model, Model) and model.manifest.metrics["gguf_max_difference"] == 0.0
    reader = gguf.GGUFReader(model.path / "weights.gguf")
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    assert np.array_equal(found["token_embd.weight"], model.load().embed.weight.detach().numpy())
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "qwen3" and fields["qwen3.block_count"] == 2
    assert len(fields["tokenizer.ggml.tokens"]) == model.vocab_size and "<|im_end|>" in fields["tokenizer.ggml.tokens"]
    text = (model.path / "Modelfile").read_text()
    assert (
        text.startswith("FROM ./weights.gguf\n")
        and 'PARAMETER stop "<|im_end|>"' in text
        and "{{- range .Messages }}<|im_start|>{{ .Role }}\n" in text
    )


def test_an_alias_leads_to_the_last_model_that_passed_and_back(home: Path) -> None:
    run = recipe_in(home).run(quiet=True)
    store = home / "store"
    assert (store / "models" / "taster").resolve() == run["model"].path.resolve() and len(history(store, "taster")) == 1
    with pytest.raises(DataError, match="no release before"):
        roll_back(store, "taster")
    again = recipe_in(home, "dpo.task.beta=0.3").run(quiet=True)
    assert again["model"].key != run["model"].key and (store / "models" / "taster").resolve() == again["model"].path.resolve()
    from typer.testing import CliRunner

    from ropewalk.cli.main import app

    result = CliRunner().invoke(app, ["rollback", "taster", "--store", str(store)])
    assert result.exit_code == 0 and (store / "models" / "taster").resolve() == run["model"].path.resolve()
    assert recipe_in(home).run(quiet=True).made == [] and len(history(store, "taster")) == 1
    opened = load(home / "preference.yaml", [f"store={store}", f"merged.model=path:{store / 'models' / 'taster'}"])
    assert opened.stages["merged"].model.location.endswith("taster")  # type: ignore[attr-defined]


def test_a_release_of_something_that_was_removed_is_not_gone_back_to(tmp_path: Path) -> None:
    for key in ("a", "b"):
        draft = tmp_path / f"draft-{key}"
        draft.mkdir()
        (tmp_path / "Model").mkdir(exist_ok=True)
        commit(draft, tmp_path / "Model" / key, Manifest("Model", key=key))
        assert release(tmp_path, "one", tmp_path / "Model" / key)
    assert not release(tmp_path, "one", tmp_path / "Model" / "b"), "it leads there already"
    shutil.rmtree(tmp_path / "Model" / "a")
    with pytest.raises(DataError, match="Model/a was removed"):
        roll_back(tmp_path, "one")
    with pytest.raises(ConfigError, match="can't be an alias"):
        history(tmp_path, "../one")
    (tmp_path / "models" / ".one.json").write_text("[")
    with pytest.raises(DataError, match="damaged"):
        history(tmp_path, "one")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dpo.task=lm"], "lm reads sequences, and answers holds pairs"),
        (["sft.task={type: simpo}"], "simpo reads pairs, and turns holds sequences: use render_pairs"),
        (["dpo.adapter=null", "dpo.task={type: dpo}"], "task.reference: name a logprobs stage"),
        (["dpo.task={type: kto}", "answers.judged=true", "dpo.batch.micro_batch=2"], "kto computes an update in one piece"),
        (["refs.data=turns"], "turns holds no answers to shared prompts"),
        (["sft.adapter=lora"], "an adapter needs init"),
        (["model.verdict=none"], "an alias is for models that passed a gate"),
    ],
)
def test_what_can_not_work_is_said_before_any_work(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_in(tmp_path, *overrides).plan()


def test_an_adapter_on_an_adapter_and_a_plain_model_to_merge_are_refused(home: Path) -> None:
    run = recipe_in(home).run(quiet=True)
    with pytest.raises(DataError, match="is no adapter: it has nothing to merge"):
        recipe_in(home, f"merged.model=path:{run['sft'].path}").run("merged", quiet=True)
    with pytest.raises(DataError, match="is an adapter itself"):
        recipe_in(home, f"dpo.init=path:{run['dpo'].path}").run("dpo", quiet=True)
    with pytest.raises(DataError, match="made for other tokens"):
        recipe_in(home, f"dpo.task.reference=path:{run['refs'].path}", "answers.holdout=0.3").run("dpo", quiet=True)
    with pytest.raises(DataError, match="differ by up to"):
        recipe_in(home, "merged.tolerance=1e-12").run("merged", quiet=True)


@pytest.mark.parametrize("task", ["orpo", "{type: kto}", "{type: dpo, form: ipo, reference: refs}"])
def test_other_losses_train_in_the_same_place(home: Path, task: str) -> None:
    judged = ["answers.judged=true"] if "kto" in task else []
    run = recipe_in(home, f"dpo.task={task}", "dpo.budget={steps: 3}", "dpo.evaluate.every=3", *judged).run("dpo", quiet=True)
    found: Any = run["dpo"].manifest.metrics
    assert np.isfinite(found["holdout_loss"]) and "holdout_accuracy" in found and found["steps"] == 3


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_folder_that_peft_wrote_is_merged(home: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    from ropewalk.pipeline.stages.merge import Merge

    base = recipe_in(home).run(quiet=True)["sft"]
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    theirs = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base.path), config).eval()
    theirs.save_pretrained(tmp_path / "foreign")
    stage = Merge.model_validate({"model": f"path:{tmp_path / 'foreign'}", "base": f"path:{base.path}"})
    merged = stage.run(store=tmp_path / "store", runs=tmp_path / "runs", quiet=True)
    assert isinstance(merged, Model) and (merged.path / "tokenizer.json").is_file()
    ids, module = torch.arange(12)[None], merged.load()
    with torch.no_grad():
        assert (theirs(ids).logits - module.logits(module(ids))).abs().max() < 1e-4


def test_a_base_from_another_place_is_found_again(home: Path, tmp_path: Path) -> None:
    """A folder that transformers saved: the adapter names it, and what is merged has the logits of both."""
    from transformers import AutoModelForCausalLM

    ours = recipe_in(home).run(quiet=True)["sft"].path
    AutoModelForCausalLM.from_pretrained(ours).save_pretrained(tmp_path / "elsewhere")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(ours / name, tmp_path / "elsewhere" / name)
    fields = [f"{field}=path:{tmp_path / 'elsewhere'}" for field in ("refs.model", "dpo.init")]
    run = recipe_in(home, *fields, "dpo.budget={steps: 4}", "dpo.evaluate.every=4").run("merged", quiet=True)
    adapter, merged = run["dpo"], run["merged"]
    assert isinstance(adapter, Model) and isinstance(merged, Model)
    assert json.loads((adapter.path / "adapter_base.json").read_text())["path"] == str(tmp_path / "elsewhere")
    ids, module = torch.arange(12)[None], adapter.load()
    theirs = AutoModelForCausalLM.from_pretrained(merged.path).eval()
    with torch.no_grad():
        assert (theirs(ids).logits - module.logits(module(ids))).abs().max() < 1e-4


def test_pairs_can_not_be_mixed_with_other_tokens(home: Path) -> None:
    recipe = home / "mixed.yaml"
    text = (
        (home / "preference.yaml")
        .read_text()
        .replace("  refs:", "  both: {type: mixture, parts: {a: {data: answers}, b: {data: answers}}}\n  refs:")
    )
    recipe.write_text(text)
    mixed = load(recipe, [f"store={home / 'store'}", f"runs={home / 'runs'}", "name=mixed", "sft.data=both", "sft.task=lm"])
    with pytest.raises(DataError, match="both mixes answers to shared prompts"):
        mixed.run("sft", quiet=True)
