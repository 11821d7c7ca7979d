"""Linear layers in 4 bits (NF4, Dettmers et al. 2023) through bitsandbytes; computed in the precision of what comes in."""

from __future__ import annotations

import torch
from torch import nn

from ropewalk.core.extras import extra_version


def quantised(module: nn.Module, name: str, layer: nn.Linear) -> nn.Linear:
    """Puts a 4-bit copy in the layer's place and returns it; raises MissingExtra without bitsandbytes."""
    extra_version("bitsandbytes", "qlora", "quantise: nf4")
    from bitsandbytes.nn import Linear4bit, Params4bit

    device = layer.weight.device
    compute = torch.bfloat16 if device.type == "cuda" else torch.float32
    small = Linear4bit(layer.in_features, layer.out_features, bias=layer.bias is not None, compute_dtype=compute, quant_type="nf4")
    small.weight = Params4bit(layer.weight.detach().cpu(), requires_grad=False, quant_type="nf4", module=small)
    if layer.bias is not None:
        small.bias = layer.bias
    small = small.to(device)
    if getattr(small.weight, "quant_state", None) is None:  # on a CPU the copy is quantised when it is asked for
        small.weight = small.weight.to(device)
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, small)
    return small  # type: ignore[no-any-return]
