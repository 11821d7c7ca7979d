"""What a train stage needs for answers to shared prompts and for adapters: checks before any work, and the columns of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import references
from ropewalk.core.errors import DataError
from ropewalk.data.logprobs import LogProbs
from ropewalk.data.mixture import Mixture
from ropewalk.data.rows import Rows
from ropewalk.data.tokens import Split, Tokens
from ropewalk.pipeline.stage import Context, Stage
from ropewalk.pipeline.stages.render_pairs import RenderPairs
from ropewalk.tasks.task import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ropewalk.models.gpt_module import Decoder
    from ropewalk.models.model import Model
    from ropewalk.pipeline.stages.train import Train


def held_by(data: Stage | Artifact | None) -> str | None:
    """`sequences`, `pairs` or `judged`: what the tokens of a stage or a store are; None where nothing is known."""
    if isinstance(data, RenderPairs):
        return "judged" if data.judged else "pairs"
    if isinstance(data, Tokens):
        return data.facts.packing if data.answers else "sequences"
    return "sequences" if data is not None else None


def answer_problems(stage: Train, data: Stage | Artifact | None) -> list[tuple[str, str]]:
    """What is wrong with a train stage's task and adapter."""
    task, found = stage.task, list[tuple[str, str]]()
    if (held := held_by(data)) not in (None, task.reads):
        found.append(("task", f"{task.tag} reads {task.reads}, and {stage.data.target} holds {held}: {_mend(task)}"))
    if _named(task) == {"reference": None} and stage.adapter is None:
        found.append(("task.reference", "name a logprobs stage; only an adapter has a reference of its own, its base"))
    if task.whole_batch and stage.batch.micro_batch is not None:
        found.append(("batch.micro_batch", f"{task.tag} computes an update in one piece: leave it out, and lower batch.sequences"))
    return found


def _named(task: Task) -> dict[str, Any]:
    """The task's reference, where its kind has one."""
    return {"reference": next(iter(references(task).values()), None)} if "reference" in type(task).model_fields else {}


def _mend(task: Task) -> str:
    ways = {"sequences": "use pack, windows or render", "pairs": "use render_pairs", "judged": "use render_pairs with judged: true"}
    return ways[task.reads]


def check_answers(stage: Train, data: Tokens | Mixture | Rows, name: str) -> None:
    """The same of finished artifacts; raises DataError."""
    several = isinstance(data, Mixture)
    held = {str(held_by(part)) for part in (data.parts if isinstance(data, Mixture) else [data])}
    if several and held != {"sequences"}:
        raise DataError(f"{name}: {stage.data.target} mixes answers to shared prompts", remedy="put the sets of pairs into one pairs stage")
    if held != {stage.task.reads}:
        raise DataError(
            f"{name}: the task {stage.task.tag} reads {stage.task.reads}, and {stage.data.target} holds {' and '.join(sorted(held))}"
        )


def reference_columns(task: Task, context: Context, data: Tokens | Mixture | Rows, split: Split) -> Mapping[str, NDArray[Any]]:
    """The reference's log-probabilities for each sequence, where the task names some."""
    ref = _named(task).get("reference")
    if ref is None or not isinstance(data, Tokens):
        return {}
    found = context.open(ref)
    assert isinstance(found, LogProbs), "a reference is typed"
    return {"reference": found.column(data, split)}


def answers_in(data: Tokens | Mixture | Rows) -> int:
    """Answers in a sequence, 1 where sequences are no groups of them."""
    return (data.answers if isinstance(data, Tokens) else 0) or 1


def count_parameters(module: Decoder, stage: Train) -> dict[str, int]:
    """All of them, and those of an adapter."""
    every = {"parameters": list(module.parameters())}
    if stage.adapter is not None:
        every["trained_parameters"] = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return {name: sum(parameter.numel() for parameter in found) for name, found in every.items()}


def base_of(start: Model, name: str) -> dict[str, Any]:
    """What an adapter says of its base: its key, and its place where it stands in no store."""
    if start.is_adapter:
        raise DataError(f"{name}: {start.path} is an adapter itself", remedy="merge it first (stage merge), and train an adapter on that")
    stored = start.path.resolve().name == start.key
    return {"key": start.key, "path": "" if stored else str(start.path.resolve())}
