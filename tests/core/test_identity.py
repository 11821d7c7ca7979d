"""Keys: what is in them, what is not, and how a change is named (cases O07, O08)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ropewalk.core.component import lookup
from ropewalk.core.errors import ConfigError
from ropewalk.core.identity import Identity, changes, identify
from ropewalk.core.plugins import LoadPlugins, load_plugin
from ropewalk.core.reference import Ref
from ropewalk.pipeline.stage import Stage

PLUGIN = '''"""A plugin."""
from typing import Annotated
from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME, SAFE
from ropewalk.core.reference import Ref
from ropewalk.pipeline.stage import Facts, Stage
from .words import WORDS

class Made{n}(Artifact, kind="Made{n}"):
    """One."""

class Make{n}(Stage, type="make{n}"):
    """Makes one."""
    makes = Made{n}
    value: int = 1
    """A value."""
    budget: Annotated[int, SAFE] = 1
    """Safe."""
    workers: Annotated[int, RUNTIME] = 1
    """Runtime."""
    after: Ref[Made{n}] | None = None
    """Another."""
    def make(self, context):
        # a comment
        return Facts(metrics={{"words": WORDS}})
'''


def plugin(folder: Path, n: str, words: str = "WORDS = 1\n", text: str = PLUGIN) -> type[Stage]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "words.py").write_text(words)
    (folder / f"own{n}.py").write_text(text.format(n=n))
    load_plugin(folder / f"own{n}.py")
    return lookup(Stage)[f"make{n}"]  # type: ignore[return-value]


def key(stage: Stage, seed: int | None = None) -> Identity:
    return identify(stage, lambda ref: f"key-of-{ref.target}", seed)


def test_config_inputs_and_seed_are_in_the_key_runtime_fields_are_not(tmp_path: Path) -> None:
    make = plugin(tmp_path, "a")
    base = key(make(value=1))
    assert key(make(value=2)).key != base.key
    assert key(make(after=Ref("x"))).key not in (base.key, key(make(after=Ref("y"))).key)
    assert key(make(), seed=1).key != base.key
    assert key(make(workers=8)).key == base.key
    safe = key(make(budget=9))
    assert safe.key != base.key and safe.safe_key == base.safe_key and key(make(value=2)).safe_key != base.safe_key


def key_in_new_process(folder: Path, n: str) -> str:
    code = (
        "import sys\nfrom pathlib import Path\nfrom ropewalk.core.plugins import load_plugin\nfrom ropewalk.core.identity import identify\n"
        "from ropewalk.core.component import lookup\nfrom ropewalk.pipeline.stage import Stage\n"
        f"load_plugin(Path(sys.argv[1]) / 'own{n}.py')\nprint(identify(lookup(Stage)['make{n}'](), str).key)"
    )
    return subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True).stdout


def test_code_counts_but_not_its_comments_docstrings_or_folder(tmp_path: Path) -> None:
    plugin(tmp_path / "one", "b")
    first = key_in_new_process(tmp_path / "one", "b")
    said_otherwise = PLUGIN.replace("A plugin.", "The plugin.").replace("# a comment", "# another\n").replace("Makes one.", "Makes it.")
    for folder, words, text, same in (
        ("two", "WORDS = 1\n", said_otherwise, True),
        ("three", '"""Words."""\nWORDS = (1)\n', PLUGIN, True),
        ("four", "WORDS = 2\n", PLUGIN, False),
        ("five", "WORDS = 1\n", PLUGIN.replace("value: int = 1", "value: int = 2"), False),
        ("six", "WORDS = 1\n", PLUGIN.replace('"words": WORDS', '"words": -WORDS'), False),
    ):
        target = tmp_path / folder
        target.mkdir()
        (target / "words.py").write_text(words)
        (target / "ownb.py").write_text(text.format(n="b"))
        assert (key_in_new_process(target, "b") == first) == same, folder


def test_a_pinned_version_stands_for_the_code(tmp_path: Path) -> None:
    text = PLUGIN.replace("    makes = Made{n}\n", "    makes = Made{n}\n    version = 3\n")
    make = plugin(tmp_path / "one", "v", text=text)
    assert key(make()).code == {"version:stage.makev": "3"}


def test_changes_are_named(tmp_path: Path) -> None:
    make = plugin(tmp_path, "c")
    before, after = key(make(after=Ref("x")), seed=1).parts(), key(make(value=5, after=Ref("y")), seed=2).parts()
    assert changes(before, after) == ["value: 1 -> 5", "input after changed", "seed: 1 -> 2"]
    changed = {**before, "code": {**before["code"], "plugin:words": "other"}, "outside": {"source": {"hash": 1}}}
    assert changes(before, changed) == ["code of plugin:words changed", "source: what it reads changed (files or library versions)"]
    assert changes(before, before) == []


def test_a_folder_of_plugins_loads_once(tmp_path: Path) -> None:
    plugin(tmp_path, "d")
    LoadPlugins((tmp_path,))()
    LoadPlugins((tmp_path,))()
    assert "maked" in lookup(Stage)


def test_plugins_that_are_missing_or_broken_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_plugin(tmp_path / "none.py")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ConfigError, match=r"broken\.py can't be imported: ModuleNotFoundError"):
        load_plugin(tmp_path / "broken.py")
