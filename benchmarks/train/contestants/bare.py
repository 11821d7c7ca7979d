"""A bare loop around ropewalk's decoder and loss: what its trainer adds is the difference."""

from __future__ import annotations

import torch
from benchmarks.train.work import BETAS, CLIP, RATE, Meter, arguments, batches


def main() -> None:
    from ropewalk.models.folder_module import load_module
    from ropewalk.models.loss_module import cross_entropy_sum

    torch.set_num_threads(1)
    folder, steps, size = arguments()
    model = load_module(folder / "model").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS, weight_decay=0.0, fused=True)
    data, meter = torch.from_numpy(batches(folder)), Meter("bare loop")
    meter.begin()
    for rows in data[:steps]:
        loss = cross_entropy_sum(model(rows[:, :-1]).flatten(0, 1), model.head_weight, rows[:, 1:].flatten()) / size.tokens
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        meter.step(loss.item())
    meter.tell()


if __name__ == "__main__":
    main()
