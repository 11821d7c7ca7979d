"""The house: imports go down, no rings, files of one idea, nothing written twice, and light files where a recipe looks up names.

Each rule is first seen to fail on a small wrong tree, then holds for `src/ropewalk`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import house_rules
import ropewalk

SOURCE = Path(ropewalk.__file__).parent
LONG = {"data/pii/scan.py": "one compiled scan: numba's cache on disk notices changes of one file only"}
"""Files that may be longer than 300 lines: path below src/ropewalk -> reason."""

HEAVY = ("torch", "numba", "llvmlite", "transformers", "tokenizers", "pyarrow", "scipy", "sklearn", "pandas", "safetensors", "datasketch")
PROBE = """
import sys

asked = []

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy}:
            asked.append(name)
            raise ImportError(name + " is heavy: a file that a look-up imports must not need it")

sys.meta_path.insert(0, Refuse())
from ropewalk.core import component

component.entry_points_allowed = False
{imports}
while True:
    count = len(component.FAMILIES)
    members = sum(len(component.lookup(family)) for family in list(component.FAMILIES.values()))
    if count == len(component.FAMILIES):
        break
if asked:
    sys.exit("asked for " + ", ".join(asked))
print(*sorted(family for family in component.FAMILIES), members)
"""


def tree(folder: Path, **files: str) -> Path:
    """A package `ropewalk` with modules such as `data__text`, where two underscores stand for a folder."""
    root = folder / "ropewalk"
    for name, text in {"__init__": "", **files}.items():
        path = root / (name.replace("__", "/") + ".py" if name != "__init__" else "__init__.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    "rule",
    [
        house_rules.floor_faults,
        house_rules.cycle_faults,
        house_rules.construction_faults,
        lambda root: house_rules.size_faults(root, LONG),
        house_rules.name_faults,
        house_rules.docstring_faults,
        house_rules.repeat_faults,
    ],
    ids=["floors", "cycles", "construction", "sizes", "names", "docstrings", "repeats"],
)
def test_the_house_keeps_its_rules(rule: Callable[[Path], list[str]]) -> None:
    faults = rule(SOURCE)
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("train__loop", "from ropewalk.pipeline.runner import run"),
        ("train__loop", "import ropewalk.evaluate.gates"),
        ("train__loop", "from ropewalk import evaluate"),
        ("train__loop", "from ..evaluate import gates"),
        ("train__loop", "from .. import evaluate"),
        ("train__loop", "from ropewalk import load"),
        ("data__text", "from ropewalk.models.gpt import GPT"),
        ("data__text", "from ..optim import muon"),
        ("optim__muon", "from ropewalk.data.text import read"),
        ("models__gpt", "from ropewalk.optim.muon import Muon"),
        ("core__load", "def f():\n    from ropewalk.hardware.device import pick"),
        ("core__load", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ropewalk.data.text import Text"),
        ("core__load", "import importlib\nimportlib.import_module('ropewalk.cli.main')"),
        ("attic__box", "import json"),
    ],
)
def test_an_import_that_goes_up_or_sideways_is_seen(tmp_path: Path, module: str, line: str) -> None:
    names = ("pipeline", "evaluate", "train", "data", "models", "optim", "core")
    root = tree(tmp_path, **{f"{name}____init__": "" for name in names}, **{module: f'"""Text."""\n{line}\n'})
    (fault,) = house_rules.floor_faults(root)
    assert module.replace("__", "/") in fault


def test_imports_that_go_down_are_fine(tmp_path: Path) -> None:
    low = {"core__load": "import json", "data__text": "from ..core import load\nfrom ropewalk import __version__\nfrom . import other"}
    high = {"cli__main": "from ropewalk import load\nfrom ropewalk.data.text import f", "data__other": "", "core____init__": ""}
    assert house_rules.floor_faults(tree(tmp_path, **low, **high)) == []


@pytest.mark.parametrize("last", ["from ropewalk.core.a import A", "from .a import A", "from . import a", "from ropewalk.core import a"])
def test_a_ring_of_imports_is_seen_whichever_way_it_is_written(tmp_path: Path, last: str) -> None:
    root = tree(tmp_path, core____init__="", core__a="import ropewalk.core.b", core__b="from ropewalk.core import c", core__c=last)
    (fault,) = house_rules.cycle_faults(root)
    assert "core.a" in fault and "core.b" in fault and "core.c" in fault


def test_late_imports_make_no_ring(tmp_path: Path) -> None:
    late = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import a\ndef f():\n    from . import a"
    assert house_rules.cycle_faults(tree(tmp_path, core____init__="", core__a="from . import b", core__b=late)) == []


def test_building_below_the_pipeline_is_seen(tmp_path: Path) -> None:
    text = "def f(config):\n    return config.model.build(3)\n"
    whole = "def build(self):\n    return [part.build() for part in self.parts]\n"
    (fault,) = house_rules.construction_faults(tree(tmp_path, train__loop=text, pipeline__stages__train=text, optim__muon=whole))
    assert "train/loop.py:2" in fault and "stages" not in fault


def test_a_long_file_needs_a_reason_and_a_reason_a_long_file(tmp_path: Path) -> None:
    root = tree(tmp_path, core__long="x = 1\n" * 301, core__short="x = 1\n" * 300)
    assert "core/long.py:1: 301 lines" in house_rules.size_faults(root, {})[0]
    assert house_rules.size_faults(root, {"core/long.py": "a table"}) == []
    assert "core/short.py" in house_rules.size_faults(root, {"core/long.py": "a table", "core/short.py": "was long"})[0]


def test_a_vague_name_and_a_missing_docstring_are_seen(tmp_path: Path) -> None:
    root = tree(tmp_path, core__utils='"""Text."""\n', core__load="import json\n", core__empty="")
    assert "utils.py" in house_rules.name_faults(root)[0]
    assert len(house_rules.docstring_faults(root)) == 1 and "load.py" in house_rules.docstring_faults(root)[0]


BODY = """
def {name}({a}):
    "{name} says something else."
    {b} = []
    for {c} in {a}:
        if {c} > {limit}:   # a comment
            {b}.append({c})
    {b}.sort()
    return {b}
"""


def test_a_copied_body_is_seen_under_other_names(tmp_path: Path) -> None:
    first = BODY.format(name="over", a="values", b="kept", c="value", limit=3)
    copied = "class C:\n" + BODY.format(name="large", a="rows", b="out", c="row", limit=3).replace("\n", "\n    ")
    differs = BODY.format(name="third", a="rows", b="out", c="row", limit=4)
    short = "def f(x):\n    y = x\n    z = y\n    return z\ndef g(x):\n    y = x\n    z = y\n    return z\n"
    (fault,) = house_rules.repeat_faults(tree(tmp_path, core__a=first, data__b=copied, data__c=differs, data__d=short))
    assert "over" in fault and "large" in fault


def probe(imports: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Loads every family in a process where heavy packages can't be imported; `imports` brings the families in."""
    code = PROBE.format(heavy=HEAVY, imports=imports)
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)


def test_every_family_loads_without_heavy_packages(tmp_path: Path) -> None:
    done = probe("from ropewalk.pipeline.families import all_families\nall_families()", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    *families, members = done.stdout.split()
    opened = {
        name
        for file in SOURCE.rglob("*.py")
        for name in re.findall(r'^class \w+\(Component, family="(\w+)"', file.read_text(), re.MULTILINE)
    }
    assert set(families) == opened and int(members) >= len(families)


@pytest.mark.parametrize("heavy", ["import torch", "try:\n    import numba\nexcept ImportError:\n    pass"])
def test_a_heavy_member_is_seen_also_when_it_hides(tmp_path: Path, heavy: str) -> None:
    folder = tmp_path / "orchard"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "fruit.py").write_text(
        "from ropewalk.core.component import Component\nclass Fruit(Component, family='fruit', folders=('orchard',)):\n    'Fruit.'\n"
    )
    apple = 'from orchard.fruit import Fruit\nclass Apple(Fruit, type="apple"):\n    "Red."\n'
    (folder / "apple.py").write_text(apple)
    assert probe("from orchard.fruit import Fruit", tmp_path).stdout == "fruit 1\n"
    (folder / "apple.py").write_text(f"{heavy}\n{apple}")
    done = probe("from orchard.fruit import Fruit", tmp_path)
    assert done.returncode != 0 and heavy.split("import ")[1][:5] in done.stderr
