"""The camera's side of a stream: a thread that reads frames at their pace and never waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lightawnet_edge.runtime.lens import Note, Shot
from lightawnet_edge.runtime.mailbox import Mailbox
from lightawnet_edge.runtime.sources import Source


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame, and when it was there."""

    number: int
    at_s: float
    shot: Shot


class Capture(threading.Thread):
    """Reads a source into a mailbox; every frame is told at once, too."""

    def __init__(
        self,
        source: Source,
        mailbox: Mailbox[Captured],
        *,
        seconds: float | None,
        on_frame: Callable[[Captured], None],
        on_note: Callable[[Note], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to read.

        Args:
            source: A frame of a paced one is due at its start plus its number times the period.
            mailbox: Closed when the source ends.
            seconds: How long; a source that ends earlier is read again where it can be. None reads
                it once.
            on_frame: Called for each frame, in this thread.
            on_note: Called for what a source tells beside its frames, in this thread.
            clock: Seconds.
        """
        super().__init__(daemon=True)
        self._source, self._mailbox, self._seconds = source, mailbox, seconds
        self._on_frame, self._on_note, self._clock = on_frame, on_note, clock
        self._halted = threading.Event()
        self._start_s = 0.0
        self.captured = self.skipped = 0
        self.last_s = clock()
        """When the last frame was there."""
        self.error: Exception | None = None
        """What ended it, if it was not the end of the source."""

    def run(self) -> None:
        """Read until the source, or the time, is over."""
        self._start_s = self.last_s = self._clock()
        try:
            while self._pass() and self._seconds is not None and self._source.repeats:
                self._on_note(Note("starts over", f"'{self._source.name}' is at its end"))
        except Exception as error:
            self.error = error
        finally:
            self._mailbox.close()

    def stop(self) -> None:
        """Read no more; a read that is blocked is left alone."""
        self._halted.set()
        self._source.close()
        self._mailbox.close()

    def _pass(self) -> bool:
        """Read the source to its end; whether there is time left, and a frame came."""
        before = self.captured
        for one in self._source.shots():
            if isinstance(one, Note):
                self.skipped += one.what == "skipped"
                self._on_note(one)
            elif not self._waited():
                return False
            else:
                self._hand_over(one)
        return self.captured > before and not self._over(self._clock())

    def _waited(self) -> bool:
        """Wait until the next frame is due; False where none is wanted any more."""
        due_s = self._start_s + (self.captured + self.skipped) / self._source.rate
        if self._source.paced:
            self._halted.wait(max(0.0, due_s - self._clock()))
        return not (self._halted.is_set() or self._over(self._clock()))

    def _over(self, now_s: float) -> bool:
        return self._seconds is not None and now_s - self._start_s >= self._seconds

    def _hand_over(self, shot: Shot) -> None:
        self.last_s = self._clock()
        found = Captured(self.captured, self.last_s, shot)
        self.captured += 1
        self._on_frame(found)
        self._mailbox.put(found)
