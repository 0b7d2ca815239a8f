"""keccak-256 as Ethereum has it: SHA-3 with the padding of before it was a standard."""

from __future__ import annotations

from typing import Final

#: Bytes that go into the state at once: 200, less twice the size of the hash.
_RATE: Final = 136
_LANES: Final = _RATE // 8
_SIZE: Final = 32
_MASK: Final = (1 << 64) - 1

_ROTATIONS: Final = (
    *(0, 1, 62, 28, 27),
    *(36, 44, 6, 55, 20),
    *(3, 10, 43, 25, 39),
    *(41, 45, 15, 21, 8),
    *(18, 2, 61, 56, 14),
)
_CONSTANTS: Final = (
    *(0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000),
    *(0x000000000000808B, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009),
    *(0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A),
    *(0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003),
    *(0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A),
    *(0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008),
)


def keccak(data: bytes) -> bytes:
    """The 32 bytes of the hash of *data*."""
    gap = _RATE - len(data) % _RATE
    padded = bytearray(data) + bytearray(gap)
    padded[len(data)] ^= 0x01
    padded[-1] ^= 0x80
    state = [0] * 25
    for start in range(0, len(padded), _RATE):
        for lane in range(_LANES):
            place = start + 8 * lane
            state[lane] ^= int.from_bytes(padded[place : place + 8], "little")
        state = _permuted(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[: _SIZE // 8])


def _permuted(state: list[int]) -> list[int]:
    """Lane (x, y) of the five by five is number x + 5·y."""
    for constant in _CONSTANTS:
        columns = [_xor(state[x::5]) for x in range(5)]
        mixed = [columns[x - 1] ^ _rotated(columns[(x + 1) % 5], 1) for x in range(5)]
        moved = [0] * 25
        for place, lane in enumerate(state):
            x, y = place % 5, place // 5
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = _rotated(lane ^ mixed[x], _ROTATIONS[place])
        state = [
            lane ^ (~moved[_right(place, 1)] & moved[_right(place, 2)])
            for place, lane in enumerate(moved)
        ]
        state[0] ^= constant
    return state


def _xor(lanes: list[int]) -> int:
    result = 0
    for lane in lanes:
        result ^= lane
    return result


def _rotated(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _MASK


def _right(place: int, by: int) -> int:
    """The lane that is *by* further in the row of *place*."""
    return place // 5 * 5 + (place + by) % 5
