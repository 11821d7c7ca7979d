"""A loop in the style of nanoGPT: its own small decoder, all logits at once, torch's AdamW as it chooses it on a CPU."""

from __future__ import annotations

import json

import torch
import torch.nn.functional as F
from benchmarks.train.work import BETAS, CLIP, RATE, Meter, Size, arguments, batches
from safetensors.torch import load_file
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.ln_1, self.ln_2 = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.c_attn, self.c_out = nn.Linear(size.width, 3 * size.width), nn.Linear(size.width, size.width)
        self.c_fc, self.c_proj = nn.Linear(size.width, 4 * size.width), nn.Linear(4 * size.width, size.width)
        self.gelu = nn.GELU(approximate="tanh")

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        parts = self.c_attn(self.ln_1(x)).split(width, dim=2)
        query, key, value = (part.view(rows, length, self.heads, -1).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.c_out(mixed.transpose(1, 2).contiguous().view(rows, length, width))
        return x + self.c_proj(self.gelu(self.c_fc(self.ln_2(x))))  # type: ignore[no-any-return]


class Model(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(size.vocabulary, size.width), nn.Embedding(size.context, size.width)
        self.h = nn.ModuleList(Block(size) for _ in range(size.depth))
        self.ln_f = nn.LayerNorm(size.width)
        self.lm_head = nn.Linear(size.width, size.vocabulary, bias=False)
        self.wte.weight = self.lm_head.weight

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.size(1)))
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


def loaded(folder, size: Size) -> Model:  # type: ignore[no-untyped-def]
    assert json.loads((folder / "config.json").read_text())["n_layer"] == size.depth
    model, weights = Model(size), {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        short = name.removeprefix("transformer.").replace(".attn.c_proj", ".c_out").replace(".attn.", ".").replace(".mlp.", ".")
        weights[short] = tensor.T if tensor.dim() == 2 and short.startswith("h.") else tensor
    missing, unknown = model.load_state_dict(weights, strict=False)
    assert missing in ([], ["lm_head.weight"]) and not unknown, (missing, unknown)
    return model


def main() -> None:
    torch.set_num_threads(1)
    folder, steps, size = arguments()
    model = loaded(folder / "model", size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS, weight_decay=0.0)
    data, meter = torch.from_numpy(batches(folder)), Meter("nanoGPT-style loop")
    meter.begin()
    for rows in data[:steps]:
        loss = model(rows[:, :-1], rows[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        meter.step(loss.item())
    meter.tell()


if __name__ == "__main__":
    main()
