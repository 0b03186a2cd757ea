"""One slot between a camera that does not wait and an engine that takes its time."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the newest item; an older one that nobody took is dropped, and counted."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self.dropped = 0
        """Items that were replaced before anybody took them."""

    def put(self, item: T) -> None:
        """Leave an item; never waits. A closed box takes none."""
        with self._changed:
            if self._closed:
                return
            self.dropped += self._item is not None
            self._item = item
            self._changed.notify()

    def take(self, timeout_s: float) -> T | None:
        """The newest item, or None after so many seconds, or where none will come any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """No more items will come; the one that is there may still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._closed and self._item is None
