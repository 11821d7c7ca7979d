"""The merge stage: an adapter and its base become one plain model, with the largest difference of their logits measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.core.seed import torch_generator
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ropewalk.models.gpt_module import Decoder

ROWS, POSITIONS = 4, 128


class Merge(Stage, type="merge"):
    """Adds an adapter's update to the weights of its base, in full precision, once.

    Of a base that was held in 4 bits it takes what those stood for: the adapter was trained beside that.
    """

    makes: ClassVar[type[Artifact]] = Model
    seeded: ClassVar[bool] = True

    model: Ref[Model]
    """The adapter: a train stage with `adapter`, or `path:` and a folder as peft writes it."""
    base: Ref[Model] | None = None
    """Its base; needed only where the adapter's folder names none that is here."""
    tolerance: Annotated[float, Field(gt=0)] = 1e-4
    """Largest difference of any logit between the two on random tokens; more is an error and nothing is written."""

    def make(self, context: Context) -> Facts:
        from ropewalk.models.adapter_module import has_adapters, merge_adapters
        from ropewalk.models.folder_module import load_module, save_model
        from ropewalk.models.peft_module import base_folder, load_adapted

        adapter = context.open(self.model)
        if not adapter.is_adapter:
            raise DataError(f"{context.name}: {self.model.target} is no adapter: it has nothing to merge", remedy="use the model itself")
        base = context.open(self.base).path if self.base else None
        module = load_adapted(adapter.path, base=base)
        generator = torch_generator(context.seed, "merge")
        wanted = _logits(module, generator)
        merge_adapters(module)
        assert not has_adapters(module), "merged layers are plain"
        own = (adapter.path / "tokenizer.json").is_file()
        save_model(context.out, module, adapter.path if own else base or base_folder(adapter.path))
        found = _logits(load_module(context.out), torch_generator(context.seed, "merge"))
        difference, largest = float((found - wanted).abs().max()), float(wanted.abs().max())
        context.log.info("%s: largest difference of a logit %.2e, of logits up to %.3g", context.name, difference, largest)
        if not difference <= self.tolerance:
            raise DataError(
                f"{context.name}: the merged model's logits differ by up to {difference:.2e}, more than {self.tolerance:g}",
                remedy="use the adapter beside its base, or raise tolerance",
            )
        parameters = sum(parameter.numel() for parameter in module.parameters())
        return Facts(metrics={"max_logit_difference": difference, "max_logit": largest, "parameters": parameters})


def _logits(module: Decoder, generator: object) -> Tensor:
    """On the same random tokens each time."""
    import torch

    length = min(POSITIONS, module.shape.context)
    tokens = torch.randint(module.vocab_size, (ROWS, length), generator=generator)  # type: ignore[call-overload]
    with torch.no_grad():
        found: Tensor = module.logits(module(tokens))
    return found
