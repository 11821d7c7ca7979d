"""Keccak-256, which Ethereum uses; hashlib's SHA3-256 pads in another way."""

from __future__ import annotations

_WORD = (1 << 64) - 1
_RATE_BYTES = 136
_TURNS = ((0, 36, 3, 41, 18), (1, 44, 10, 45, 2), (62, 6, 43, 15, 61), (28, 55, 25, 21, 56), (27, 20, 39, 8, 14))
_CONSTANTS = (
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000, 0x000000000000808B, 0x0000000080000001,
    0x8000000080008081, 0x8000000000008009, 0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A,
    0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003, 0x8000000000008002, 0x8000000000000080,
    0x000000000000800A, 0x800000008000000A, 0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
)  # fmt: skip


def _turned(value: int, by: int) -> int:
    return ((value << by) | (value >> (64 - by))) & _WORD


def _permuted(state: list[list[int]]) -> list[list[int]]:
    for constant in _CONSTANTS:
        columns = [line[0] ^ line[1] ^ line[2] ^ line[3] ^ line[4] for line in state]
        mixed = [columns[x - 1] ^ _turned(columns[(x + 1) % 5], 1) for x in range(5)]
        moved = [[0] * 5 for _ in range(5)]
        for x in range(5):
            for y in range(5):
                moved[y][(2 * x + 3 * y) % 5] = _turned(state[x][y] ^ mixed[x], _TURNS[x][y])
        state = [[moved[x][y] ^ (~moved[(x + 1) % 5][y] & moved[(x + 2) % 5][y]) for y in range(5)] for x in range(5)]
        state[0][0] ^= constant
    return state


def keccak_256(message: bytes) -> bytes:
    """The 32 bytes of its hash."""
    padded = bytearray(message) + bytes(_RATE_BYTES - len(message) % _RATE_BYTES)
    padded[len(message)] ^= 0x01
    padded[-1] ^= 0x80
    state = [[0] * 5 for _ in range(5)]
    for block in range(0, len(padded), _RATE_BYTES):
        for lane in range(_RATE_BYTES // 8):
            state[lane % 5][lane // 5] ^= int.from_bytes(padded[block + 8 * lane : block + 8 * lane + 8], "little")
        state = _permuted(state)
    return b"".join(state[lane % 5][lane // 5].to_bytes(8, "little") for lane in range(4))
