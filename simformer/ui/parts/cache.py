"""What the server remembers between two requests: bounded, shared by everyone, and safe to lose."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by key; the least recently used are dropped once all together are larger than `capacity` bytes."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._used = 0
        self._lock = Lock()

    def get(self, key: Hashable) -> Value | None:
        """The value, None if it is not there (any more)."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: Value, size: int) -> None:
        """Remember a value of `size` bytes; one that is larger than the whole cache is not kept."""
        with self._lock:
            self._used -= self._values.pop(key, (None, 0))[1]
            if size > self.capacity:
                return  # making room for it would drop all others, and then itself
            self._values[key] = (value, size)
            self._used += size
            while self._used > self.capacity:
                self._used -= self._values.popitem(last=False)[1][1]
