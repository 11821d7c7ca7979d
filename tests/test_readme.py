"""What README, docs and templates show is true: recipes load, commands exist, examples run, paths are there."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import ropewalk
from ropewalk.cli.main import app
from ropewalk.cli.templates import read_template, template_names
from ropewalk.core import errors
from ropewalk.core.component import lookup
from ropewalk.core.ledger import read_ledger
from ropewalk.core.plugins import PLUGIN
from ropewalk.data.steps import Step
from ropewalk.pipeline.families import all_families, explain
from ropewalk.pipeline.recipe import Recipe, load, loads
from ropewalk.pipeline.stages.train import Train

ROOT = Path(ropewalk.__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
SCHEMA_LINE = "# yaml-language-server: $schema=recipe.schema.json"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, as they stand on a page."""
    found = re.findall(r"^```([a-z]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def commands(page: Path) -> list[list[str]]:
    """Every `ropewalk VERB ...` on a page, inline or in a block, as words after `ropewalk`."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"(?<!`)`(ropewalk [^`\n]+)`(?!`)", text)
    lines = [line for block in blocks(page, "") for line in block.splitlines() if line.startswith("ropewalk ")]
    return [shlex.split(line, comments=True)[1:] for line in (*inline, *lines)]


def all_commands() -> list[list[str]]:
    return [words for page in PAGES for words in commands(page)]


def whole_recipes() -> list[tuple[str, str]]:
    """(page, YAML) of every block that is a recipe by itself."""
    found = [(page.name, text) for page in PAGES for text in blocks(page, "yaml")]
    return [(name, text) for name, text in found if "stages" in (read := yaml.safe_load(text)) and "extends" not in read]


def example_filter() -> str:
    return next(text for text in blocks(README, "python") if "(Step, type=" in text)


@pytest.fixture
def plugin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with the README's filter in it; its type is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shouting.py").write_text(example_filter())
    yield tmp_path
    for tag in [tag for tag, member in lookup(Step).items() if member.__module__.startswith(PLUGIN)]:
        del Step.members[tag]


def test_every_block_of_yaml_parses_and_every_whole_recipe_loads(plugin_folder: Path) -> None:
    for page in PAGES:
        for text in blocks(page, "yaml"):
            assert isinstance(yaml.safe_load(text), dict), f"{page}: {text}"
    found = whole_recipes()
    assert {"README.md", "recipe.md"} <= {name for name, _ in found}
    for name, text in found:
        assert loads(text, name, plugin_folder).stages


def test_a_recipe_that_extends_another_loads_as_the_docs_show_it(tmp_path: Path) -> None:
    text = next(text for page in PAGES for text in blocks(page, "yaml") if text.startswith("extends:"))
    (tmp_path / "recipe.yaml").write_text(read_template("own_text"))
    (tmp_path / "larger.yaml").write_text(text)
    recipe = load(tmp_path / "larger.yaml")
    assert recipe.name == "larger" and recipe.tree()["stages"]["base"]["budget"]["tokens"] == 5_000_000


def test_the_readme_filter_drops_what_it_should(plugin_folder: Path) -> None:
    texts = {"calm": "A quiet text about ropes.", "loud": "ROPES! ALL OF THEM!", "mixed": "The HTTP and TLS standards."}
    lines = [json.dumps({"id": name, "text": text}) for name, text in texts.items()]
    (plugin_folder / "texts.jsonl").write_text("\n".join(lines))
    recipe = loads(next(text for name, text in whole_recipes() if name == "README.md"), "r.yaml", plugin_folder)
    clean = recipe.run(quiet=True)["clean"]
    assert clean.manifest.counts["kept"] == 2 and clean.manifest.counts["dropped"] == 1
    entry = read_ledger(clean.path).to_pylist()[0]
    assert (entry["id"], entry["reason"]) == ("loud", "shouting.max_capitals") and entry["score"] > 0.5


def test_python_on_the_pages_is_python() -> None:
    for page in PAGES:
        for text in blocks(page, "python"):
            ast.parse(text)


def test_the_readme_recipe_in_code_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = next(text for text in blocks(README, "python") if "recipe = Recipe(" in text)
    names: dict[str, object] = {}
    code = compile(text.rpartition("run = recipe.run()")[0], "README.md", "exec")
    exec(code, names)
    recipe = names["recipe"]
    assert isinstance(recipe, Recipe) and recipe.run(quiet=True).made == ["raw", "vocab", "packed", "base"]


def test_every_command_names_a_verb_and_what_it_needs() -> None:
    verbs = {str(found.name) for found in app.registered_commands}
    shown = {words[0] for words in commands(README) if not words[0].startswith("-")}
    assert shown == verbs, "the README shows each verb, and no other"
    for words in all_commands():
        while words and words[0].startswith("-"):
            words = words[2:] if words[0] == "--log-level" else words[1:]
        if not words:
            continue
        verb, *rest = words
        assert verb in verbs, words
        plain = [word for word in rest if not word.startswith("-") and word != ">"]
        if verb == "explain" and plain:
            explain(plain[0])
        elif verb == "list" and plain:
            assert plain[0] in all_families(), words
        elif verb == "init" and plain:
            assert plain[0] in template_names(), words
        elif verb in ("run", "plan", "validate") and plain and plain[0].startswith("recipes/"):
            load(ROOT / plain[0], plain[1:])


def test_overrides_in_the_docs_fit_the_template_of_own_text(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(read_template("own_text"))
    shown = [words[2:] for words in all_commands() if words[:2] in (["run", "recipe.yaml"], ["plan", "recipe.yaml"])]
    overrides = [word for words in shown for word in words if "=" in word]
    assert overrides
    load(tmp_path / "recipe.yaml", overrides)


def test_performance_tips_are_overrides_that_the_quickstart_takes() -> None:
    tips = README.read_text(encoding="utf-8").split("## Fast, or small")[1].split("\n## ")[0]
    overrides = re.findall(r"`((?:base|packed|executor)\.[a-z_.]+=[^`]+)`", tips)
    assert len(overrides) >= 5
    load(ROOT / "recipes/quickstart.yaml", overrides)


def test_make_targets_on_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8")))
        assert named <= targets, f"{page}: {named - targets}"


def test_every_exit_code_is_explained() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RopewalkError)]
    codes = {str(kind.exit_code) for kind in kinds}
    table = README.read_text(encoding="utf-8").split("## Exit codes")[1].split("\n## ")[0]
    assert codes | {"0", "130", "143"} == set(re.findall(r"\d+", " ".join(re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE))))
    helped = re.findall(r"^## ([\d and]+):", (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert codes | {"130", "143"} == set(re.findall(r"\d+", " ".join(helped)))


def test_links_of_the_readme_lead_to_files() -> None:
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_every_path_of_the_tree_is_there() -> None:
    tree = blocks(README, "")[-1]
    folders: list[str] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        words = line.split()
        paths = [words[0], *(word for word in words[1:3] if re.fullmatch(r"[a-z_]+(/|\.py)", word))]
        for path in paths:
            assert (ROOT / "".join(folders[:depth]) / path).exists(), line
        folders = [*folders[:depth], words[0]]


def test_the_quickstart_template_is_the_quickstart_recipe() -> None:
    assert read_template("quickstart") == (ROOT / "recipes/quickstart.yaml").read_text(encoding="utf-8")


def test_shipped_recipes_train_shapes_that_transformers_has() -> None:
    found = [load(ROOT / "recipes" / name) for name in ("quickstart.yaml", "tiny.yaml")] + [loads(read_template("own_text"))]
    models = [stage.model for recipe in found for stage in recipe.stages.values() if isinstance(stage, Train) and stage.model]
    assert models and {model.shape().family for model in models} <= {"gpt2", "llama", "qwen3"}


def test_templates_are_those_that_the_help_names_and_begin_with_the_schema() -> None:
    assert template_names() == ["finetune", "forecast", "own_text", "quickstart"]
    for name in ("finetune", "forecast", "own_text"):
        assert read_template(name).splitlines()[0] == SCHEMA_LINE and "ropewalk schema > recipe.schema.json" in read_template(name)


def test_own_text_goes_from_a_folder_of_files_to_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(read_template("own_text"))
    (tmp_path / "text").mkdir()
    for number in range(40):
        words = " ".join(f"strand{number * step % 97}" for step in range(1, 40))
        (tmp_path / "text" / f"{number:02d}.txt").write_text(f"Rope number {number} is made of {words}.\n")
    run = load(tmp_path / "recipe.yaml", ["vocab.size=300", "packed.holdout=0.2"]).run("packed", quiet=True)
    metrics = run["packed"].manifest.metrics
    assert metrics["train/documents"] + metrics["holdout/documents"] == 40 and metrics["holdout/documents"] > 0


def test_finetune_goes_on_with_the_models_that_the_tiny_recipe_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ["name=quickstart", "base.budget.steps=2", "sft.budget.steps=1", "model.verdict=none"]
    load(ROOT / "recipes/tiny.yaml", quick).run("vocab", "model", quiet=True)
    turns = [[("user", f"What is {number} and one?"), ("assistant", f"It is {number + 1}.")] for number in range(40)]
    records = [{"messages": [{"role": role, "content": text} for role, text in turn]} for turn in turns]
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "finetune.yaml").write_text(read_template("finetune"))
    recipe = load(tmp_path / "finetune.yaml", ["turns.length=128", "sft.optimizer.lr=0.003"])
    run = recipe.run(quiet=True)
    assert run.made == ["chats", "turns", "sft", "before", "after", "gate", "model"]
    assert run["chats"].manifest.counts["kept"] == 40 and (run["model"].path / "README.md").is_file()
