"""A run's folder: resolved recipe, status, events, links to artifacts and unfinished work."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ropewalk.core.artifact import Manifest, write_durably
from ropewalk.core.errors import DataError, DiskError
from ropewalk.core.load import plain
from ropewalk.core.store import default_root
from ropewalk.pipeline.recipe import Recipe

RUN_FILE = "run.json"
EVENTS_FILE = "events.jsonl"


class _Dumper(yaml.SafeDumper):
    """Quotes every text that reading a recipe would take for something else, such as `1e3`."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if isinstance(plain(value), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


@dataclass
class RunFolder:
    """Paths and small files of one run; holds no open handles."""

    path: Path
    store_root: Path
    status: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, recipe: Recipe) -> RunFolder:
        runs = recipe.runs or Path(os.environ.get("CHECKPOINT_DIR") or Path.cwd() / "runs")
        return cls(runs / recipe.name, recipe.store or default_root())

    def work(self, stage: str) -> Path:
        """Unfinished work of a stage."""
        return self.path / "work" / stage

    def has_work(self, stage: str) -> bool:
        """Whether shards or checkpoints stand there."""
        work = self.work(stage)
        return work.is_dir() and any(path.name != "identity.json" and not path.name.startswith(".") for path in _leaves(work))

    def link(self, stage: str, artifact: Path) -> None:
        """`stages/STAGE` leads to the artifact: a relative link, or a one-line file where links aren't allowed."""
        place = self.path / "stages" / stage
        place.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(artifact, place.parent)
        if place.is_symlink() and os.readlink(place) == target:
            return
        temporary = place.with_name(f".tmp-{stage}")
        temporary.unlink(missing_ok=True)
        try:
            temporary.symlink_to(target)
        except OSError:
            temporary.write_text(target + "\n")
        os.replace(temporary, place)

    def artifact(self, stage: str) -> Path | None:
        """Where a stage's last artifact stands, if it does."""
        place = self.path / "stages" / stage
        if place.is_file() and not place.is_symlink():
            place = place.parent / place.read_text().strip()
        return place.resolve() if place.is_dir() else None

    def last_manifest(self, stage: str) -> Manifest | None:
        place = self.artifact(stage)
        try:
            return Manifest.read(place) if place else None
        except DataError:
            return None

    def save(self, recipe: Recipe) -> None:
        """Write the resolved recipe and the status; everything else in the folder survives."""
        self.path.mkdir(parents=True, exist_ok=True)
        resolved = yaml.dump(recipe.tree(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
        if not (self.path / "recipe.yaml").is_file() or (self.path / "recipe.yaml").read_text(encoding="utf-8") != resolved:
            write_durably(self.path / "recipe.yaml", resolved.encode())

    def save_status(self) -> None:
        write_durably(self.path / RUN_FILE, json.dumps(self.status, indent=1, ensure_ascii=False).encode())

    def read_status(self) -> dict[str, Any]:
        try:
            found = json.loads((self.path / RUN_FILE).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def record(self, event: str, **facts: Any) -> None:
        """Append one line to the run's event log."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts}, ensure_ascii=False)
        try:
            with (self.path / EVENTS_FILE).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise DiskError(f"{self.path / EVENTS_FILE}: {error.strerror}") from error

    def drop_work(self, stage: str) -> None:
        if self.work(stage).exists():
            hidden = self.path / "work" / f".tmp-{stage}-{uuid.uuid4().hex[:8]}"
            os.rename(self.work(stage), hidden)  # a kill in between leaves nothing that looks like work
            shutil.rmtree(hidden)
        parent = self.path / "work"
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def _leaves(folder: Path) -> list[Path]:
    """Files two levels down that are work: `shards/NAME/receipt.json`, `checkpoints/step-1/manifest.json`."""
    return [path for path in folder.glob("*/*/*") if path.is_file()]
