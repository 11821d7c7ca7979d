"""YAML with places: scalars, duplicates, extends, overrides, environment, limits (cases O43, S6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.core.errors import ConfigError
from ropewalk.core.load import MAX_NODES, Tree, nearest, plain, read_text, read_tree
from ropewalk.core.location import Located

TOP = ("name", "seed", "stages")


def read(text: str) -> Tree:
    return read_text(text, "r.yaml", Path.cwd())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-5", 2e-5),
        ("2.0e-5", 2e-5),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-3", -3),
        ("1_000", 1000),
        ("0", 0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("no", "no"),
        ("off", "off"),
        ("yes", "yes"),
        ("010", "010"),
        ("007", "007"),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("0x10", "0x10"),
        ("1.2.3", "1.2.3"),
        (".nan", ".nan"),
        (".inf", ".inf"),
    ],
)
def test_scalars_are_never_guessed(text: str, value: object) -> None:
    found = plain(text)
    assert found == value and type(found) is type(value)
    assert read(f"a: {text}").value["a"] == value


def test_quotes_make_text() -> None:
    assert read("a: '1'\nb: \"true\"\nc: |\n  x\n").value == {"a": "1", "b": "true", "c": "x\n"}


def test_places_name_line_and_column() -> None:
    tree = read("a: 1\nb:\n  c: [x, {d: 2}]\n")
    assert tree.place(("b", "c", 1, "d")) == "r.yaml:3:11"  # where its key stands
    assert tree.place(("b", "nothing", "here")) == "r.yaml:2:1"


def test_duplicate_key_names_both_lines() -> None:
    problem = read("a: 1\nb: 2\na: 3\n").problems[0]
    assert "lines 1 and 3" in problem.message and problem.where == "r.yaml:3:1"


@pytest.mark.parametrize("text", ["a: !!python/object:os.system x", "a: !custom 1", "<<: {a: 1}", "? [1, 2]\n: x"])
def test_tags_merge_keys_and_odd_keys_are_refused(text: str) -> None:
    assert read(text).problems


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "- 1", "just text", "", "\ta: 1", "a: &x [*x]" if False else "%bad"])
def test_what_is_no_mapping_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        read(text)


def test_alias_bomb_stops_early() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    with pytest.raises(ConfigError, match=str(MAX_NODES)):
        read("\n".join(lines))


def test_deep_nesting_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="deep"):
        read("a: " + "[" * 20_000 + "]" * 20_000)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_TEST_A", "here")
    monkeypatch.delenv("ROPEWALK_TEST_B", raising=False)
    tree = read("a: ${ROPEWALK_TEST_A}/x\nb: ${ROPEWALK_TEST_B:-there}\nc: ${ROPEWALK_TEST_B}\nd: ${MY_API_KEY}\n")
    assert tree.value["a"] == "here/x" and tree.value["b"] == "there"
    said = [problem.message for problem in tree.problems]
    assert any("ROPEWALK_TEST_B is not set" in message for message in said) and any("secret" in message for message in said)


def test_text_remembers_its_folder(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("a: data/x.txt\n")
    value = read_tree(tmp_path / "r.yaml").value["a"]
    assert isinstance(value, Located) and value.resolved() == str(tmp_path / "data/x.txt")


def test_extends_merges_and_keeps_places(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text("seed: 1\nstages:\n  a: {type: x, lr: 1, deep: {p: 1, q: 2}}\n  b: {type: y, z: 1}\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "child.yaml").write_text("extends: ../parent.yaml\nstages:\n  a: {lr: 2, deep: {q: 3}}\n  b: {type: other}\n")
    tree = read_tree(tmp_path / "sub" / "child.yaml")
    assert tree.value == {"seed": 1, "stages": {"a": {"type": "x", "lr": 2, "deep": {"p": 1, "q": 3}}, "b": {"type": "other"}}}
    assert "child.yaml:3" in tree.place(("stages", "a", "lr")) and "parent.yaml:3" in tree.place(("stages", "a", "type"))


def test_extends_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ConfigError, match="circle"):
        read_tree(tmp_path / "a.yaml")


def test_missing_file_offers_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError, match=r"did you mean .*quickstart\.yaml"):
        read_tree(tmp_path / "quikstart.yaml")
    with pytest.raises(ConfigError, match="folder"):
        read_tree(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: caf\xe9\n")
    with pytest.raises(ConfigError, match="can't be read"):
        read_tree(tmp_path / "latin.yaml")


def test_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read_tree(tmp_path / "r.yaml").value == {"name": "x"}


def overridden(tmp_path: Path, *overrides: str) -> Tree:
    (tmp_path / "r.yaml").write_text("name: n\nstages:\n  base: {optimizer: muon, steps: [a, {type: b, k: 1}]}\n")
    return read_tree(tmp_path / "r.yaml", overrides, TOP)


def test_overrides_reach_stages_lists_and_top_level(tmp_path: Path) -> None:
    tree = overridden(tmp_path, "base.optimizer.lr=3e-4", "base.steps.1.k=5", "name=other", "base.new.deep=[1, x]", "stages.base.flag=true")
    base = tree.value["stages"]["base"]
    assert base["optimizer"] == {"type": "muon", "lr": 3e-4}
    assert base["steps"][1] == {"type": "b", "k": 5} and base["new"] == {"deep": [1, "x"]} and base["flag"] is True
    assert tree.value["name"] == "other" and not tree.problems
    assert tree.place(("stages", "base", "optimizer", "lr")) == "override 'base.optimizer.lr=3e-4'"


@pytest.mark.parametrize("override", ["novalue", "=3", "bsae.optimizer.lr=1", "base.steps.7=x", "base.steps.9.k=1"])
def test_bad_overrides_are_problems(tmp_path: Path, override: str) -> None:
    assert overridden(tmp_path, override).problems


def test_override_of_a_misspelt_stage_offers_the_right_one(tmp_path: Path) -> None:
    assert "base" in overridden(tmp_path, "bsae.optimizer.lr=1").problems[0].hint


def test_nearest() -> None:
    assert nearest("learnign_rate", ["learning_rate", "x"]) == "did you mean 'learning_rate'?"
    assert nearest("zzz", ["a", "b"]) == "one of: a, b"


@pytest.mark.parametrize("name", ["MY_TOKEN", "AWS_ACCESS_KEY_ID", "private_key", "DB_PASSWD", "GITHUB_PAT"])
def test_secrets_are_not_written_into_recipes(name: str) -> None:
    assert "looks like a secret" in read(f"a: ${{{name}}}").problems[0].message


@pytest.mark.parametrize("name", ["NUM_TOKENS", "TOKENIZER_DIR", "MONKEY", "PATH_TO_DATA"])
def test_names_that_only_sound_like_secrets_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    assert read(f"a: ${{{name}}}").value == {"a": "x"}


def test_odd_numbers_and_circles_are_no_bugs(tmp_path: Path) -> None:
    assert read("a: " + "9" * 5000).value["a"] == "9" * 5000
    with pytest.raises(ConfigError, match="alias"):
        read("a: &a\n  b: *a\n")
    assert overridden(tmp_path, "base.²=3").value["stages"]["base"]["²"] == 3
