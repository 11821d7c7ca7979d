"""A page for each family of components, written from their docstrings while the site is built, so that none can be missing or stale.

The navigation gets these pages here, and those of the folders in which a page is a file: decisions and benchmarks.
"""

from __future__ import annotations

import inspect

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ropewalk.core import component
from ropewalk.pipeline.families import all_families, field_rows, summary


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages to those that lie in docs/."""
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    if config.nav is not None:
        config.nav += navigation([file.src_uri for file in files.documentation_pages()])
    return files


def navigation(names: list[str]) -> list[dict[str, list[str]]]:
    """A section for each folder that has pages; its index comes first."""
    sections = []
    for title in ("Components", "Benchmarks", "Decisions"):
        folder = f"{title.lower()}/"
        found = sorted((name for name in names if name.startswith(folder)), key=lambda name: (not name.endswith("/index.md"), name))
        if found:
            sections.append({title: found})
    return sections


def pages() -> dict[str, str]:
    """Path below docs/ -> Markdown: an index and a page for each family."""
    component.entry_points_allowed = False
    families = {name: family for name, family in all_families().items() if family.__module__.startswith("ropewalk.")}
    rows = [f"| [{name}]({name}.md) | {_cell(summary(family))} | {len(family.members)} |" for name, family in sorted(families.items())]
    index = [
        "# Components",
        "",
        "Everything that a recipe can name, by family.",
        "",
        "| family | what it is | types |",
        "|---|---|---|",
        *rows,
    ]
    written = {"components/index.md": "\n".join(index) + "\n"}
    for name, family in families.items():
        parts = [f"# {name}", summary(family)]
        parts += [_section(tag, member) for tag, member in sorted(family.members.items())]
        written[f"components/{name}.md"] = "\n\n".join(parts) + "\n"
    return written


def _section(tag: str, member: type[component.Component]) -> str:
    rows = [f"| `{row['field']}` | `{_cell(row['default'])}` | {_cell(row['what'])} |" for row in field_rows(member)]
    table = ["", "| field | default | what it does |", "|---|---|---|", *rows] if rows else []
    return "\n".join([f"## {tag}", "", inspect.cleandoc(member.__doc__ or ""), *table])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split()) or " "
