"""A number for each of very many names, in about a third of the memory of a dict. Pure.

A run keeps three things of each query: its digest, where its transcript stands, and, while the file is checked, in
which line it was found.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, MutableMapping

_SLOTS = 16
_MOST = 0.6
"""How full the table may be: open addressing gets slow beyond."""


class Numbers(MutableMapping[str, int]):
    """A number from 0 to 2**64 - 1 by name, in the order in which the names came. None can be taken out again.

    The names stand one behind the other as UTF-8. A table of slots, found by a name's hash, holds which one it is.
    """

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = array("Q", [0])
        self._values = array("Q")
        self._slots = _empty(_SLOTS)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[str]:
        return (_decoded(self._name(place)) for place in range(len(self._values)))

    def __getitem__(self, name: str) -> int:
        place = self._slots[self._slot(_encoded(name))]
        if not place:
            raise KeyError(name)
        return self._values[place - 1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._slots[self._slot(_encoded(name))] > 0

    def __setitem__(self, name: str, value: int) -> None:
        data = _encoded(name)
        slot = self._slot(data)
        if place := self._slots[slot]:
            self._values[place - 1] = value
            return
        self._values.append(value)
        self._text += data
        self._ends.append(len(self._text))
        self._slots[slot] = len(self._values)
        if len(self._values) > _MOST * len(self._slots):
            self._grow()

    def __delitem__(self, name: str) -> None:
        raise TypeError("names stay")

    def _name(self, place: int) -> bytes:
        return bytes(self._text[self._ends[place] : self._ends[place + 1]])

    def _slot(self, data: bytes) -> int:
        """Find the slot that a name has, or would have."""
        slots = self._slots
        slot = hash(data) % len(slots)
        while (place := slots[slot]) and self._name(place - 1) != data:
            slot = (slot + 1) % len(slots)
        return slot

    def _grow(self) -> None:
        self._slots = slots = _empty(2 * len(self._slots))
        for place in range(len(self._values)):
            slot = hash(self._name(place)) % len(slots)
            while slots[slot]:
                slot = (slot + 1) % len(slots)
            slots[slot] = place + 1


class Digests(Mapping[str, str]):
    """Digests of 16 hexadecimal digits by name, in order."""

    def __init__(self) -> None:
        self._numbers = Numbers()

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __getitem__(self, name: str) -> str:
        return f"{self._numbers[name]:016x}"

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def add(self, name: str, digest: str) -> None:
        """Take one more. Raises `ValueError` for what is no digest."""
        self._numbers[name] = int(digest, 16)


def _empty(slots: int) -> array[int]:
    return array("I", bytes(slots * array("I").itemsize))


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
