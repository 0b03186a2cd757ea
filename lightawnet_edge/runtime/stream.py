"""A bundle at a camera's pace: the newest frame wins, and a watchdog says what may be shown."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import BackendUnavailableError, CheckFailedError
from lightawnet_edge.runtime.capture import Capture, Captured
from lightawnet_edge.runtime.evidence import Repeats, plausible
from lightawnet_edge.runtime.lens import Note
from lightawnet_edge.runtime.mailbox import Mailbox
from lightawnet_edge.runtime.outlet import Apart, Masked, Screened, Sink
from lightawnet_edge.runtime.screen import Screen
from lightawnet_edge.runtime.sources import Source
from lightawnet_edge.runtime.stream_record import Event, Spell, Spread, StreamRecord, Tell
from lightawnet_edge.runtime.supervised import Answer, Gone, Ready
from lightawnet_edge.runtime.watchdog import Change, Rules, Watchdog
from lightawnet_edge.scores.histogram import Histogram
from lightawnet_edge.specs import Condition, Reaction

MAX_RESTARTS = 3
"""In a row, without a good mask between them: a fourth would not help either."""
_TICK_S = 0.1
"""Longest sleep of the loop, so that the end of time and a silent source are noticed."""
_STALL_S, _STALL_PERIODS = 1.0, 10
"""A source is silent after a second, or ten of its periods where these are longer."""


class Worker(Protocol):
    """Runs one frame at a time, and can be started anew; `Supervised` is one."""

    def start(self) -> None:
        """Begin, in the place of what may still run."""

    def begin(self, frame: UInt8) -> None:
        """Hand over a frame."""

    def poll(self, timeout_s: float) -> Ready | Answer | Gone | None:
        """What came within so many seconds."""

    def stop(self) -> None:
        """End at once."""


class Stream:
    """Segments what a source gives until it ends, or the time is over.

    Example:
        lens = Lens(manifest.contract)
        source = open_source("clip.mp4", lens)
        worker = Supervised.of("engines/polypgen-openvino-int8")
        record = Stream(worker, manifest.contract, source, Rules.at(source.rate)).run()
    """

    def __init__(
        self,
        worker: Worker,
        contract: Contract,
        source: Source,
        rules: Rules,
        *,
        name: str = "engine",
        sinks: list[Sink] | None = None,
        seconds: float | None = None,
        tell: Tell = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a stream, which runs once.

        Args:
            worker: The engine.
            contract: Of its bundle.
            source: Its frames fit the contract.
            rules: When a mask may be shown.
            name: Of the bundle, for people.
            sinks: What takes pictures and masks, each call in one other thread.
            seconds: How long; None ends with the source.
            tell: Told of every event, from two threads.
            clock: Seconds.
        """
        self._worker, self._contract, self._source = worker, contract, source
        self._rules, self._name, self._tell, self._clock = rules, name, tell, clock
        self._seconds = seconds
        self._mailbox = Mailbox[Captured]()
        self._capture = Capture(
            source,
            self._mailbox,
            seconds=seconds,
            on_frame=self._show,
            on_note=self._note,
            clock=clock,
        )
        self._apart = Apart(sinks or [])
        self._repeats = Repeats(contract)
        self._start_s = clock()
        self._watchdog = Watchdog(rules, self._start_s)
        self._pending: Captured | None = None
        self._screen = Screen(self._watchdog)
        self._ready, self._stalled, self._in_a_row = False, False, 0
        self._latency = Histogram()
        self._counts = Counter[str]()
        self._events = Counter[str]()
        self._ended = "the source ended"
        self.error: Exception | None = None
        """What ended the stream, if it was neither the source, the time nor Ctrl-C."""

    def run(self) -> StreamRecord:
        """Run to the end; Ctrl-C is one. What failed is in `error`, and the record is whole."""
        try:
            self._load()
            self._capture.start()
            self._loop()
            if self._capture.error is not None:
                raise self._capture.error
            if self._seconds is not None and self._clock() - self._start_s >= self._seconds:
                self._ended = "the time is over"
        except KeyboardInterrupt:
            self._ended = "interrupted"
        except Exception as error:
            self.error, self._ended = error, f"stopped: {error}"
        finally:
            self._close()
        self._log("end", self._ended)
        return self._record()

    def _load(self) -> None:
        self._worker.start()
        while (found := self._worker.poll(_TICK_S)) is None:
            pass
        if isinstance(found, Gone):
            raise BackendUnavailableError(self._name, f"{found.reason}.")
        self._ready = True
        self._start_s = self._clock()
        self._watchdog = Watchdog(self._rules, self._start_s)
        self._screen = Screen(self._watchdog)
        frozen = "" if self._contract.probability else "; no probability: numbers are not checked"
        self._log("start", self._name, detail=f"'{self._source.name}'{frozen}")

    def _loop(self) -> None:
        while not (self._mailbox.over and (self._pending is None or not self._ready)):
            now_s = self._clock()
            self._react(self._watchdog.tick(now_s))
            self._look_at_source(now_s)
            wait_s = min(_TICK_S, max(0.0, self._watchdog.due_s() - now_s))
            if self._ready and self._pending is None:
                self._begin(self._mailbox.take(wait_s))
            else:
                self._hear(self._worker.poll(wait_s))

    def _begin(self, found: Captured | None) -> None:
        if found is None:
            return
        self._pending = found
        self._react(self._watchdog.began(self._clock()))
        if self._pending is found:  # else it was lost with a worker that was ended meanwhile
            self._worker.begin(found.shot.frame)

    def _hear(self, found: Ready | Answer | Gone | None) -> None:
        if isinstance(found, Answer):
            self._take(found)
        elif isinstance(found, Ready):
            self._ready = True
        elif isinstance(found, Gone):
            self._react(self._watchdog.died(self._clock()), found.reason)

    def _take(self, answer: Answer) -> None:
        """A mask has come."""
        done, self._pending = self._pending, None
        assert done is not None
        now_s, values = self._clock(), answer.probability
        self._latency.add(now_s - done.at_s)
        self._counts["late"] += now_s - done.at_s > self._rules.deadline_s
        good = values is None or plausible(values)
        repeats = values is not None and self._repeats(done.shot.frame, values)
        change = self._screen.put(answer.mask, now_s, done.at_s, plausible=good, repeats=repeats)
        self._apart.give(Masked(done.number, answer.mask))
        if self._watchdog.state in (Condition.OK, Condition.LATE):
            self._in_a_row = 0
        self._react(change)

    def _react(self, change: Change | None, detail: str | None = None) -> None:
        if change is None:
            return
        self._log("condition", str(change.state), change.reaction, detail)
        if change.reaction is Reaction.STOP:
            because = f" ({detail})" if detail else ""
            raise CheckFailedError(
                f"The stream was stopped: the watchdog says '{change.state}'{because}."
            )
        if change.reaction is Reaction.RESTART:
            self._restart(detail or f"the watchdog says '{change.state}'")

    def _restart(self, reason: str) -> None:
        self._in_a_row += 1
        self._counts["lost"] += self._pending is not None
        self._pending, self._ready = None, False
        self._screen.clear()
        if self._in_a_row > MAX_RESTARTS:
            raise BackendUnavailableError(
                self._name,
                f"it was restarted {MAX_RESTARTS} times in a row without a good mask; {reason}.",
            )
        self._counts["restarts"] += 1
        self._worker.start()
        self._repeats.forget()
        self._log("restart", reason)
        self._react(self._watchdog.restarted(self._clock()))

    def _look_at_source(self, now_s: float) -> None:
        """Notice a source that is silent, and one that is so beyond the time."""
        if self._seconds is not None and now_s - self._start_s >= self._seconds:
            self._mailbox.close()
        silent_s = now_s - self._capture.last_s
        stalled = silent_s > max(_STALL_S, _STALL_PERIODS * self._rules.period_s)
        if stalled is not self._stalled:
            self._stalled = stalled
            what = "stalled" if stalled else "goes on"
            self._note(Note(what, f"'{self._source.name}', {silent_s:.1f} s without a frame"))

    def _show(self, found: Captured) -> None:
        """A frame is on the screen, with what the watchdog lets be seen; in the camera's thread."""
        self._apart.give(Screened(found.shot, self._screen.over(found.at_s)))

    def _note(self, note: Note) -> None:
        if note.what != "skipped":
            self._events[note.what] += 1
        self._log("source", note.what, detail=note.detail)

    def _log(
        self, event: str, what: str, reaction: Reaction | None = None, detail: str | None = None
    ) -> None:
        now_s = self._clock()
        age_s = self._watchdog.age_s(now_s)
        self._tell(
            Event(
                time=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                at_s=round(now_s - self._start_s, 6),
                event=event,
                what=what,
                reaction=reaction,
                mask_age_s=None if age_s is None else round(age_s, 6),
                detail=detail,
            )
        )

    def _close(self) -> None:
        self._watchdog.tick(self._clock())
        self._capture.stop()
        self._worker.stop()
        try:
            self._apart.close(self.error)
        except Exception as error:
            self.error = self.error or error

    def _record(self) -> StreamRecord:
        captured, masks = self._capture.captured, self._latency.count
        gone = masks + self._mailbox.dropped + self._counts["lost"]
        return StreamRecord(
            bundle=self._name,
            source=self._source.name,
            rate=1 / self._rules.period_s,
            deadline_s=self._rules.deadline_s,
            seconds=max(0.0, self._capture.last_s - self._start_s),
            captured=captured,
            masks=masks,
            dropped=self._mailbox.dropped,
            lost=self._counts["lost"],
            left=captured - gone,
            late=self._counts["late"],
            skipped=self._capture.skipped,
            unwritten=self._apart.lost,
            restarts=self._counts["restarts"],
            source_events=dict(self._events),
            latency=Spread.of(self._latency),
            age=Spread.of(self._screen.ages),
            conditions={
                str(one): Spell(
                    entered=self._watchdog.entered[one],
                    seconds=self._watchdog.seconds[one],
                    reaction=self._rules.reaction(one),
                )
                for one in Condition
            },
            ended=self._ended,
        )
