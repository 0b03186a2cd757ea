"""A stream: every frame is accounted for, every condition is reached, and every end is clean."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import (
    ArtifactError,
    BackendUnavailableError,
    CheckFailedError,
    SpecError,
)
from lightawnet_edge.runtime.capture import Capture, Captured
from lightawnet_edge.runtime.lens import Note, Shot
from lightawnet_edge.runtime.mailbox import Mailbox
from lightawnet_edge.runtime.outlet import Masked, Nothing, Screened
from lightawnet_edge.runtime.stream import Stream
from lightawnet_edge.runtime.stream_record import Event, Log, StreamRecord, describe
from lightawnet_edge.runtime.supervised import Answer, Gone, Ready, Supervised
from lightawnet_edge.runtime.watchdog import Rules
from lightawnet_edge.specs import Condition, Reaction
from tests.runtime import engines

CONTRACT = engines.CONTRACT
RELAXED = Rules(period_s=0.02, deadline_s=60, stale_s=60, hang_s=60)
"""A busy machine makes nothing late, stale or hung by these."""


class Frames:
    """A source of frames that differ; their first value is given by `values`."""

    name, rate, paced = "frames", 50.0, True

    def __init__(
        self, values: list[int | Note | Exception], *, repeats: bool = False, rate: float = 50.0
    ) -> None:
        self.values, self.repeats, self.rate = values, repeats, rate
        self.closed = False

    def shots(self) -> Iterator[Shot | Note]:
        for index, value in enumerate(self.values):
            if isinstance(value, Exception):
                raise value
            yield value if isinstance(value, Note) else Shot(frame(value, index), None)

    def close(self) -> None:
        self.closed = True


def frame(value: int, index: int = 0) -> UInt8:
    found = np.full((16, 32, 3), value, np.uint8)
    found[-1, -1] = index % 256
    return found


class Instant:
    """A worker in this thread: every frame is answered when it is asked for."""

    def __init__(self, script: str = "") -> None:
        self.script, self.starts, self.frame = list(script), 0, frame(0)
        self.begun = 0

    def start(self) -> None:
        self.starts += 1
        self.said: Ready | None = Ready()

    def begin(self, frame: UInt8) -> None:
        self.frame = frame
        self.begun += 1

    def poll(self, timeout_s: float) -> Ready | Answer | Gone | None:
        if self.said:
            found, self.said = self.said, None
            return found
        letter = self.script.pop(0) if self.script else "a"
        if letter == "d":
            return Gone("the process ended with exit status 9")
        if letter == "c":
            raise KeyboardInterrupt
        return Answer(self.frame[:, :, 0].copy(), np.full((16, 32), self.frame.mean() / 255, "f4"))

    def stop(self) -> None:
        self.said = None


class Kept(Nothing):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.screened: list[Screened] = []
        self.masks: list[Masked] = []
        self.error: BaseException | None = None

    def screen(self, one: Screened) -> None:
        self.screened.append(one)

    def mask(self, one: Masked) -> None:
        self.masks.append(one)

    def close(self, error: BaseException | None) -> None:
        self.error = error


def accounted(record: StreamRecord) -> bool:
    return record.captured == record.masks + record.dropped + record.lost + record.left


def ran(stream: Stream) -> StreamRecord:
    record = stream.run()
    if stream.error is not None:
        raise stream.error
    return record


def test_every_frame_is_segmented_dropped_or_lost_and_the_newest_wins() -> None:
    sink = Kept()
    stream = Stream(Instant(), CONTRACT, Frames([20] * 12), RELAXED, sinks=[sink])
    record = ran(stream)
    assert record.captured == 12
    assert accounted(record)
    assert (record.left, record.lost, record.missed) == (0, 0, record.dropped)
    assert record.ended == "the source ended"
    assert len(sink.screened) + record.unwritten + len(sink.masks) == 12 + record.masks
    assert [one.number for one in sink.masks] == sorted({one.number for one in sink.masks})
    assert sink.masks[-1].number == 11, "the last frame is never dropped"
    assert record.latency is not None
    assert record.latency.count == record.masks


def test_frames_that_come_too_fast_are_dropped_and_counted() -> None:
    class Slow(Instant):
        def poll(self, timeout_s: float) -> Ready | Answer | Gone | None:
            time.sleep(0 if self.said else 0.05)
            return super().poll(timeout_s)

    record = ran(Stream(Slow(), CONTRACT, Frames([20] * 40, rate=1000), RELAXED))
    assert record.dropped > 0
    assert accounted(record)
    assert record.missed_share == record.dropped / 40


def test_the_screen_shows_the_last_mask_only_while_the_watchdog_lets_it() -> None:
    sink = Kept()
    rules = replace(RELAXED, reactions={Condition.OK: Reaction.HIDE})
    record = ran(Stream(Instant(), CONTRACT, Frames([20] * 8), rules, sinks=[sink]))
    assert all(one.mask is None for one in sink.screened)
    assert record.age is None
    assert record.masks > 0, "masks are made all the same"


def test_masks_after_their_deadline_are_counted_apart() -> None:
    rules = replace(RELAXED, deadline_s=1e-9)
    record = ran(Stream(Instant(), CONTRACT, Frames([20] * 5), rules))
    assert record.late == record.masks
    assert record.missed == 5
    assert record.conditions["late"].entered == 1
    assert record.conditions["ok"].entered == 0


def test_a_mask_grows_stale_between_slow_frames() -> None:
    rules = Rules(period_s=0.01, deadline_s=60, stale_s=0.05, hang_s=60)
    record = ran(Stream(Instant(), CONTRACT, Frames([20] * 3, rate=4), rules))
    assert record.conditions["stale"].entered >= 1
    assert record.conditions["stale"].seconds > 0.1


def test_a_worker_that_dies_is_started_again_and_its_frame_is_lost() -> None:
    worker = Instant("aad")
    record = ran(Stream(worker, CONTRACT, Frames([20] * 10), RELAXED))
    assert worker.starts == 2
    assert (record.restarts, record.lost) == (1, 1)
    assert record.conditions["hung"].entered == 1
    assert accounted(record)


def test_a_worker_that_never_gives_a_mask_is_not_started_for_ever() -> None:
    worker = Instant("dddddd")
    stream = Stream(worker, CONTRACT, Frames([20] * 100), RELAXED, name="tiny")
    record = stream.run()
    assert isinstance(stream.error, BackendUnavailableError)
    assert "'tiny' cannot run here: it was restarted 3 times in a row without" in str(stream.error)
    assert "exit status 9" in str(stream.error)
    assert worker.starts == 4
    assert accounted(record)


def test_a_worker_that_gives_no_good_mask_is_not_started_for_ever_either() -> None:
    class Broken(Instant):
        def poll(self, timeout_s: float) -> Ready | Answer | Gone | None:
            found = super().poll(timeout_s)
            if isinstance(found, Answer):
                return Answer(found.mask, np.full((16, 32), np.nan, np.float32))
            return found

    rules = replace(RELAXED, reactions={Condition.BAD_NUMBERS: Reaction.RESTART})
    stream = Stream(Broken(), CONTRACT, Frames([20] * 100), rules)
    record = stream.run()
    assert isinstance(stream.error, BackendUnavailableError)
    assert record.restarts == 3
    assert record.conditions["bad-numbers"].entered == 4
    assert accounted(record)


def test_a_restart_while_a_frame_is_handed_over_loses_that_frame_alone() -> None:
    rules = Rules(
        period_s=0.01, deadline_s=60, stale_s=0.05, hang_s=60,
        reactions={Condition.STALE: Reaction.RESTART},
    )  # fmt: skip
    worker = Instant()
    record = ran(Stream(worker, CONTRACT, Frames([20] * 5, rate=4), rules))
    assert record.restarts >= 1
    assert record.masks == worker.begun
    assert accounted(record)


def test_an_application_may_have_a_stream_stop() -> None:
    rules = replace(RELAXED, reactions={Condition.HUNG: Reaction.STOP})
    stream = Stream(Instant("ad"), CONTRACT, Frames([20] * 10), rules)
    record = stream.run()
    assert isinstance(stream.error, CheckFailedError)
    assert "The stream was stopped: the watchdog says 'hung' (the process ended" in str(
        stream.error
    )
    assert record.ended.startswith("stopped: ")


def test_ctrl_c_ends_with_a_whole_record() -> None:
    source, sink = Frames([20] * 500), Kept()
    stream = Stream(Instant("aac"), CONTRACT, source, RELAXED, sinks=[sink])
    record = stream.run()
    assert stream.error is None
    assert record.ended == "interrupted"
    assert source.closed
    assert record.masks == 2
    assert record.left >= 1
    assert accounted(record)


def test_a_source_that_fails_ends_the_stream_after_what_it_gave() -> None:
    source = Frames([20, 20, ArtifactError("The cable is out.")])
    stream = Stream(Instant(), CONTRACT, source, RELAXED)
    record = stream.run()
    assert isinstance(stream.error, ArtifactError)
    assert record.captured == 2
    assert record.ended == "stopped: The cable is out."


def test_a_file_that_ends_before_the_time_starts_over_and_a_camera_does_not() -> None:
    told = list[Event]()
    source = Frames([20] * 5, repeats=True)
    record = ran(Stream(Instant(), CONTRACT, source, RELAXED, seconds=0.5, tell=told.append))
    assert record.captured > 5
    assert record.source_events["starts over"] >= 1
    assert record.ended == "the time is over"
    assert "starts over" in [event.what for event in told]
    once = ran(Stream(Instant(), CONTRACT, Frames([20] * 5), RELAXED, seconds=30))
    assert once.captured == 5
    assert once.ended == "the source ended"


def test_a_file_without_a_frame_is_not_read_for_ever() -> None:
    source = Frames([Note("skipped", "broken")], repeats=True)
    record = ran(Stream(Instant(), CONTRACT, source, RELAXED, seconds=30))
    assert record.skipped == 1
    assert record.captured == 0


def test_what_a_source_tells_is_counted_and_logged() -> None:
    told = list[Event]()
    values: list[int | Note | Exception] = [
        20, Note("skipped", "frame 1"), Note("lost", "x"), Note("reconnected", "x"), 20,
    ]  # fmt: skip
    record = ran(Stream(Instant(), CONTRACT, Frames(values), RELAXED, tell=told.append))
    assert record.skipped == 1
    assert record.source_events == {"lost": 1, "reconnected": 1}
    assert [one.what for one in told if one.event == "source"] == ["skipped", "lost", "reconnected"]
    assert [told[0].event, told[-1].event] == ["start", "end"]


def test_a_source_that_is_silent_is_stalled_and_the_time_ends_it() -> None:
    class Silent(Frames):
        def shots(self) -> Iterator[Shot | Note]:
            yield from super().shots()
            time.sleep(3)
            yield Note("skipped", "at last")

    told = list[Event]()
    stream = Stream(Instant(), CONTRACT, Silent([20] * 2), RELAXED, seconds=1.5, tell=told.append)
    record = ran(stream)
    assert record.source_events == {"stalled": 1}
    assert record.captured == 2
    assert record.ended == "the time is over"


def test_a_file_keeps_its_pace_by_the_clock() -> None:
    box, at = Mailbox[Captured](), list[Captured]()
    capture = Capture(
        Frames([20] * 6, rate=20), box, seconds=None, on_frame=at.append, on_note=lambda _: None
    )
    capture.start()
    capture.join()
    for one in at:
        assert one.at_s - capture._start_s >= one.number / 20 - 1e-3, "never early"
    assert box.over is False
    assert capture.captured == 6


class Recovering(Frames):
    """Frames that bring a fault out, then good ones until all is well again, or for a minute."""

    def __init__(self, fault: int, told: list[Event]) -> None:
        super().__init__([20, 20, 20], rate=20)
        self._fault, self._told = fault, told

    def shots(self) -> Iterator[Shot | Note]:
        number = 0
        while "ok" not in entered(self._told):
            yield Shot(frame(20, number := number + 1), None)
        for _ in range(self._fault):
            yield Shot(frame(200, number := number + 1), None)
        end_s = time.monotonic() + 60
        while entered(self._told)[-1] != "ok" or len(entered(self._told)) < 2:
            yield Shot(frame(20, number := number + 1), None)
            if time.monotonic() > end_s:
                return


def faulted(fault: str, frames: int, **changes: Any) -> tuple[StreamRecord, list[Event]]:
    """What an engine with a fault brings about, on so many faulty frames."""
    told = list[Event]()
    stream = Stream(
        Supervised(CONTRACT, functools.partial(engines.faulty, fault)),
        CONTRACT,
        Recovering(frames, told),
        replace(RELAXED, frozen_after=2, **changes),
        tell=told.append,
    )
    record = ran(stream)
    assert accounted(record)
    return record, told


def entered(told: list[Event]) -> list[str]:
    return [event.what for event in told if event.event == "condition"]


def test_an_engine_that_gives_nan_is_hidden_until_it_recovers() -> None:
    record, told = faulted("nan", 20)
    assert entered(told) == ["ok", "bad-numbers", "ok"]
    assert record.conditions["bad-numbers"].entered == 1
    (bad,) = (event for event in told if event.what == "bad-numbers")
    assert bad.reaction is Reaction.HIDE
    assert record.restarts == 0


def test_an_engine_that_repeats_itself_is_frozen() -> None:
    record, told = faulted("repeat", 20)
    assert entered(told) == ["ok", "frozen", "ok"]
    assert record.conditions["frozen"].seconds > 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("sleep", "the watchdog says 'hung'"),
        ("die", "the process ended with exit status 3"),
        ("raise", "'tiny' cannot run here: out of memory"),
    ],
)
def test_an_engine_that_hangs_or_dies_is_killed_and_started_again(fault: str, reason: str) -> None:
    record, told = faulted(fault, 1, hang_s=1.0)
    assert entered(told)[:3] == ["ok", "hung", "waiting"]
    assert entered(told)[-1] == "ok"
    assert record.restarts == record.lost >= 1
    assert next(event.what for event in told if event.event == "restart") == reason


def test_an_engine_that_does_not_load_ends_the_stream_with_its_own_error() -> None:
    for load, kind, text in (
        (engines.refusing, ArtifactError, "The engine is not what it was"),
        (engines.crashing, BackendUnavailableError, "'engine' cannot run here: the process ended"),
    ):
        stream = Stream(Supervised(CONTRACT, load), CONTRACT, Frames([20]), RELAXED)
        record = stream.run()
        assert isinstance(stream.error, kind)
        assert text in str(stream.error)
        assert record.captured == 0


def test_a_log_has_a_line_of_json_for_each_event(tmp_path: Path) -> None:
    log = Log(tmp_path / "events.jsonl")
    ran(Stream(Instant(), CONTRACT, Frames([20] * 3), RELAXED, tell=log))
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "condition", "end"]
    assert (lines[1]["what"], lines[1]["reaction"]) == ("ok", "show")
    assert lines[1]["mask_age_s"] >= 0
    assert {"time", "at_s"} <= set(lines[0])
    again = Log(tmp_path / "events.jsonl")
    again(Event(time="t", at_s=0, event="start", what="x"))
    again.close()
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 4, "appended"
    with pytest.raises(ArtifactError, match="cannot be written: Is a directory"):
        Log(tmp_path)


def test_the_table_says_what_became_of_every_frame() -> None:
    worker = Instant("aad")
    text = describe(ran(Stream(worker, CONTRACT, Frames([20] * 8), RELAXED, name="tiny")))
    assert text.startswith("tiny on 'frames': 8 frames in ")
    assert "1 lost" in text
    assert "1 restart\n" in text
    assert [line.split()[0] for line in text.splitlines()[-7:]] == list(map(str, Condition))


def test_a_stream_without_a_frame_has_a_table_too() -> None:
    text = describe(ran(Stream(Instant(), CONTRACT, Frames([]), RELAXED)))
    assert "capture to mask  none" in text


def test_a_frame_of_another_shape_is_never_handed_over() -> None:
    worker = Supervised(CONTRACT, engines.working)
    with pytest.raises((SpecError, ValueError)):
        worker.begin(np.zeros((8, 8, 3), np.uint8))
