"""MODEL of the command line: a stage of a run (`NAME:STAGE`), a folder, a GGUF file, or what `hf:` and `gguf:` name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ropewalk.core.errors import DataError
from ropewalk.core.load import nearest
from ropewalk.core.reference import Ref
from ropewalk.core.store import open_reference
from ropewalk.data.chat_prompt import ChatPrompt
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.evaluate.writer import Writer
from ropewalk.hardware.device import pick_device
from ropewalk.models.model import Model

if TYPE_CHECKING:
    from ropewalk.core.artifact import Artifact


def find_model(place: str) -> Model:
    """The Model artifact; raises DataError that says what was looked for."""
    found: Artifact
    head, colon, stage = place.rpartition(":")
    ref: Ref[Model] = Ref(place, (Model,))
    path = Path(place)
    if ref.scheme:
        found = open_reference(ref)
    elif path.is_dir():
        found = open_reference(Ref(f"path:{path}", (Model,)))
    elif path.suffix == ".gguf" and path.is_file():
        found = open_reference(Ref(f"gguf:{path}", (Model,)))
    elif colon and head:
        found = open_reference(Ref(f"path:{_stage(head, stage)}", (Model,)))
    else:
        raise DataError(f"{place}: no such folder", remedy="name RUN:STAGE, a model's folder, a GGUF file, or hf:OWNER/NAME")
    assert isinstance(found, Model), "the reference's kinds see to it"
    if wrong := found.manifest.verify(found.path):
        raise DataError(f"{place}: damaged: {'; '.join(wrong[:3])}", remedy="make it anew, or fetch it again")
    return found


def _stage(run: str, stage: str) -> Path:
    runs = Path(os.environ.get("CHECKPOINT_DIR") or "runs")
    folder = next((path for path in (runs / run, Path(run)) if (path / "stages").is_dir()), None)
    if folder is None:
        known = sorted(path.parent.name for path in runs.glob("*/stages"))
        raise DataError(f"{runs / run}: no such run ({nearest(run, known) or 'there is none here'})", remedy="make it: ropewalk run RECIPE")
    place = folder / "stages" / stage
    if place.is_file():  # where links aren't allowed, a file names the artifact
        place = place.parent / place.read_text(encoding="utf-8").strip()
    if not place.is_dir():
        known = sorted(path.name for path in (folder / "stages").glob("[!.]*"))
        raise DataError(f"{folder}: no finished stage {stage!r} ({nearest(stage, known) or ', '.join(known)})")
    return place


@dataclass(frozen=True)
class OpenModel:
    """A model that is ready to write."""

    name: str
    writer: Writer
    vocabulary: Vocabulary
    chat: ChatPrompt


def open_model(place: str, device: str = "auto", at_once: int = 16) -> OpenModel:
    """Load the module and its tokenizer; raises DataError where one of them lacks."""
    model = find_model(place)
    vocabulary = Vocabulary(model.tokenizer_path)
    module = model.load(pick_device(device))
    writer = Writer(module, vocabulary, model.end_ids(), at_once)
    name = place if not Path(place).exists() else Path(place).absolute().name
    return OpenModel(name, writer, vocabulary, ChatPrompt(vocabulary))
