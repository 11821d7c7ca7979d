"""The pages that are written from the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import ropewalk
from ropewalk.core import component
from ropewalk.pipeline.families import all_families

DOCS = Path(ropewalk.__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("component_pages", DOCS / "component_pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    allowed = component.entry_points_allowed
    written: dict[str, str] = module.pages()
    component.entry_points_allowed = allowed
    return written


def test_every_component_and_every_field_has_a_place_in_the_docs(pages: dict[str, str]) -> None:
    for name, family in all_families().items():
        for tag, member in family.members.items():
            if member.__module__.startswith("ropewalk."):
                section = pages[f"components/{name}.md"].split(f"\n## {tag}\n")[1].split("\n## ")[0]
                assert [field for field in member.model_fields if f"| `{field}` |" not in section] == []
                assert f"[{name}]({name}.md)" in pages["components/index.md"]


def test_a_bar_in_a_text_does_not_break_its_table(pages: dict[str, str]) -> None:
    for text in pages.values():
        rows = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("| `")]
        assert [row for row in rows if row.count("|") != 4] == []


def test_decisions_are_listed() -> None:
    index = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    assert [path.name for path in (DOCS / "decisions").glob("0*.md") if f"({path.name})" not in index] == []
