# SPDX-License-Identifier: Apache-2.0
"""The estimates of docs/format.md, "Windows", a second time and in another way: what the library is compared with.

`python3 sketches.py` prints the known answers in tests/cpp/lets/sketches_test.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

MASK = (1 << 64) - 1
INDEX_BITS = 14
REST_BITS = 64 - INDEX_BITS


def spread(number: int) -> int:
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & MASK
    return number ^ (number >> 31)


def registers(hashes: Iterable[int]) -> list[int]:
    held = [0] * (1 << INDEX_BITS)
    for number in hashes:
        bits = spread(number)
        index, rest = bits >> REST_BITS, bits & ((1 << REST_BITS) - 1)
        held[index] = max(held[index], REST_BITS - rest.bit_length() + 1)
    return held


def registers_text(held: list[int]) -> str:
    return "p14:" + "".join(chr(ord("A") + rank if rank < 26 else ord("a") + rank - 26) for rank in held)


def sigma(x: float) -> float:
    power, total = 1.0, x
    while True:
        x, before = x * x, total
        total += x * power
        power += power
        if total == before:
            return total


def tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    power, total = 1.0, 1 - x
    while True:
        x, before = math.sqrt(x), total
        power /= 2
        total -= (1 - x) ** 2 * power
        if total == before:
            return total / 3


def estimate(held: list[int]) -> int:
    """Ertl's improved raw estimator, in floating point."""
    count = float(len(held))
    of_rank = [held.count(rank) for rank in range(REST_BITS + 2)]
    z = count * tau(1 - of_rank[-1] / count)
    for rank in range(REST_BITS, 0, -1):
        z = 0.5 * (z + of_rank[rank])
    return round(count / (2 * math.log(2)) * count / (z + count * sigma(of_rank[0] / count)))


def siphash24(key: bytes, data: bytes) -> int:
    def rotated(x: int, by: int) -> int:
        return (x << by | x >> (64 - by)) & MASK

    k0, k1 = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = v[0] + v[1] & MASK
            v[2] = v[2] + v[3] & MASK
            v[1], v[3] = rotated(v[1], 13) ^ v[0], rotated(v[3], 16) ^ v[2]
            v[0] = rotated(v[0], 32)
            v[2] = v[2] + v[1] & MASK
            v[0] = v[0] + v[3] & MASK
            v[1], v[3] = rotated(v[1], 17) ^ v[2], rotated(v[3], 21) ^ v[0]
            v[2] = rotated(v[2], 32)

    tail = len(data) % 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data) - tail, 8)]
    words.append(int.from_bytes(data[len(data) - tail :], "little") | (len(data) & 255) << 56)
    for word in words:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def name_hash(name: str) -> int:
    return siphash24(bytes(16), name.encode())


def main() -> None:
    import hashlib

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    for size in (2_049, 5_000, 50_000, 1_000_000):
        held = registers(range(size))
        print(size, estimate(held), digest(registers_text(held)))
    for name in ("a" * 120 + "b", "x" * 102 + "\u20ac" + "y" * 40):
        print(name, f"{name_hash(name):016x}")
    names = [f"n{i}" for i in range(16_384)] + ['n"0']
    seen = registers_text(registers(map(name_hash, names)))
    print(digest('{"names":{"n\\"0":2},"dropped":16385,"error":1,"seen":"' + seen + '"}'))


if __name__ == "__main__":
    main()
