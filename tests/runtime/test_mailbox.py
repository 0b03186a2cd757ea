"""One slot: the newest wins, and what nobody took is counted."""

from __future__ import annotations

import threading

from lightawnet_edge.runtime.mailbox import Mailbox


def test_the_newest_wins_and_the_rest_is_counted() -> None:
    box = Mailbox[int]()
    for item in range(4):
        box.put(item)
    assert box.take(0) == 3
    assert box.dropped == 3
    assert box.take(0) is None


def test_what_came_before_the_end_is_still_taken_and_nothing_after_it() -> None:
    box = Mailbox[int]()
    box.put(1)
    box.close()
    box.put(2)
    before = box.over
    assert box.take(0) == 1
    assert (before, box.over) == (False, True)
    assert box.take(60) is None, "a closed box is not waited for"
    assert box.dropped == 0


def test_a_taker_wakes_up_when_something_comes() -> None:
    box = Mailbox[int]()
    threading.Timer(0.05, box.put, [7]).start()
    assert box.take(60) == 7
