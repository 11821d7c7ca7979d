"""Signatures by torch on any device, bit for bit those of the compiled kernel.

Unsigned arithmetic mod 2^64 is done in int64, whose sums and products wrap to the same bits; only shifts to the right need a mask.
A word's polynomial comes from a running sum: with weights F^-i (F is odd, so it has an inverse mod 2^64) the sum over a word times
F^(its last place) is its hash. Texts are taken in chunks that fit the memory that is free.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ropewalk.core.log import LOGGER
from ropewalk.data.dedup.hash import Texts, Unit
from ropewalk.data.dedup.kernels import GOLDEN, LOWER, SHINGLE_FACTOR, SPACE, WORD_BYTE, WORD_FACTOR, WORD_STEP

BYTES_PER_BYTE = 160
"""Memory for each byte of text: a dozen int64 arrays of places, words and shingles."""
CPU_BYTES = 256 << 20
NOTHING = 1 << 62


def torch_signatures(texts: Texts, ngram: int, values: int, unit: Unit, device: str) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """As `signature.signatures`; goes on with the compiled kernel, and says so, where the device runs out of memory."""
    room = _room(device)
    signed, counts = [np.empty((0, values), np.uint32)], [np.empty(0, np.int64)]
    start = 0
    while start < len(texts):
        end = max(start + 1, int(np.searchsorted(texts.offsets, texts.offsets[start] + room, side="right")) - 1)
        piece = Texts(texts.data, texts.offsets[start : end + 1])
        try:
            found, number = _piece(piece, ngram, values, unit, torch.device(device))
        except torch.OutOfMemoryError as error:
            from ropewalk.data.dedup.signature import signatures

            LOGGER.warning(
                "dedup: %s ran out of memory, %d texts are signed on the CPU (%s)", device, end - start, str(error).split("\n")[0]
            )
            found, number = signatures(piece, ngram, values, unit)
        signed.append(found)
        counts.append(number)
        start = end
    return np.concatenate(signed), np.concatenate(counts)


def _room(device: str) -> int:
    """Bytes of text in a chunk."""
    free = torch.cuda.mem_get_info(device)[0] // 2 if device.startswith("cuda") else CPU_BYTES
    return max(1 << 16, free // BYTES_PER_BYTE)


def _signed(number: np.uint64 | int) -> int:
    """The int64 of the same bits."""
    return int(np.array(int(number) & (1 << 64) - 1, np.uint64).astype(np.int64))


def _shift(value: torch.Tensor, bits: int) -> torch.Tensor:
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _mix(value: torch.Tensor) -> torch.Tensor:
    """splitmix64."""
    value = value + _signed(GOLDEN)
    value = (value ^ _shift(value, 30)) * _signed(0xBF58476D1CE4E5B9)
    value = (value ^ _shift(value, 27)) * _signed(0x94D049BB133111EB)
    return value ^ _shift(value, 31)


def _piece(texts: Texts, ngram: int, values: int, unit: Unit, device: torch.device) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    first, last = int(texts.offsets[0]), int(texts.offsets[-1])
    data = torch.from_numpy(texts.data[first:last].astype(np.int64)).to(device)
    offsets = torch.from_numpy(texts.offsets - first).to(device)
    owner = torch.repeat_interleave(torch.arange(len(texts), device=device), offsets.diff())
    hashes, whose = (_letters if unit == "character" else _words)(data, owner)
    shingles, whose, counts = _shingles(hashes, whose, len(texts), ngram)
    return _sketching(shingles, whose, len(texts), values).cpu().numpy().astype(np.uint32), counts.cpu().numpy()


def _table(values: NDArray[np.generic], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64)).to(device)


def _runs(kept: torch.Tensor, owner: torch.Tensor, begins: torch.Tensor, byte: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The hash of each run of kept bytes that begins where `begins` says, and whose it is."""
    count = len(byte)
    factor, inverse = int(WORD_FACTOR), pow(int(WORD_FACTOR), -1, 1 << 64)
    powers = torch.cumprod(torch.full((count + 1,), _signed(factor), device=byte.device), 0) * _signed(inverse)
    backwards = torch.cumprod(torch.full((count + 1,), _signed(inverse), device=byte.device), 0) * _signed(factor)
    place = torch.arange(count, device=byte.device)
    sums = torch.cat([byte.new_zeros(1), torch.cumsum(torch.where(kept, byte, 0) * backwards[:count], 0)])
    starts = place[begins]
    number = torch.cumsum(begins.long(), 0) - 1
    lasts = torch.zeros_like(starts).scatter_reduce_(0, number[kept], place[kept], "amax")
    return _mix((sums[lasts + 1] - sums[starts]) * powers[lasts]), owner[starts]


def _words(data: torch.Tensor, owner: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    inside = _table(WORD_STEP != 0, data.device)[data] != 0
    begins = inside.clone()
    begins[1:] &= ~inside[:-1] | (owner[1:] != owner[:-1])
    return _runs(inside, owner, begins, _table(WORD_BYTE, data.device)[data])


def _letters(data: torch.Tensor, owner: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """White space folded first: of a run one blank stays, none at the ends of a text."""
    blank = _table(SPACE, data.device)[data] != 0
    place = torch.arange(len(data), device=data.device)
    solid = place[~blank]
    if not len(solid):
        return data[:0], owner[:0]
    follows = torch.zeros_like(blank)  # a blank just behind a character, with another one of the same text to come
    behind, ahead = solid[:-1], solid[1:]
    gap = (ahead - behind > 1) & (owner[behind] == owner[ahead])
    follows[behind[gap] + 1] = True
    kept = ~blank | follows
    byte, owner = torch.where(blank, 32, _table(LOWER, data.device)[data])[kept], owner[kept]
    goes_on = (byte & 0xC0) == 0x80
    begins = ~goes_on
    begins[0] = True
    begins[1:] |= (owner[1:] != owner[:-1]) | (byte[:-1] == 32)
    return _runs(torch.ones_like(begins), owner, begins, byte)


def _shingles(hashes: torch.Tensor, whose: torch.Tensor, texts: int, ngram: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each n-gram's hash, whose it is, and how many each text has."""
    lengths = torch.bincount(whose, minlength=texts)
    ends = torch.cumsum(lengths, 0)
    place = torch.arange(len(hashes), device=hashes.device)
    left = ends[whose] - place  # words from here to the text's end
    size = torch.clamp(lengths[whose], max=ngram)
    begins = place[left >= size]
    size = size[begins]
    rolling = torch.zeros_like(hashes[begins])
    for step in range(ngram):
        inside = step < size
        word = hashes[torch.where(inside, begins + step, begins)]
        rolling = torch.where(inside, rolling * _signed(SHINGLE_FACTOR) + word, rolling)
    owner = whose[begins]
    return _mix(rolling), owner, torch.bincount(owner, minlength=texts)


def _sketching(shingles: torch.Tensor, whose: torch.Tensor, texts: int, values: int) -> torch.Tensor:
    """Fast Similarity Sketching, all texts of the piece round by round; those that are full drop out."""
    slots = torch.full((texts * values,), NOTHING, device=shingles.device)
    turn = 0
    while len(shingles):
        drawn = _mix(shingles + _signed((turn - 1) * int(GOLDEN))) if turn else shingles
        low = drawn & 0xFFFFFFFF
        thrown = (_shift(drawn, 32) * values) >> 32 if turn < values else torch.full_like(drawn, turn - values)
        reached = torch.full_like(slots, NOTHING).scatter_reduce_(0, whose * values + thrown, low, "amin")
        slots = torch.where(slots == NOTHING, reached, slots)
        unfilled = (slots.view(texts, values) == NOTHING).any(1)
        if turn < 4 or not turn % 8:
            open_ = unfilled[whose]
            shingles, whose = shingles[open_], whose[open_]
        elif not bool(unfilled[whose].any()):
            break
        turn += 1
    return torch.where(slots == NOTHING, 0, slots).view(texts, values)
