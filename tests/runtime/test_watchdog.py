"""The watchdog by itself: every condition, what ends it, and what is done in it."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.errors import SpecError
from lightawnet_edge.runtime.watchdog import REACTIONS, Change, Rules, Watchdog, parse_reactions
from lightawnet_edge.specs import Condition, Reaction

RULES = Rules(period_s=1.0, deadline_s=1.0, stale_s=2.0, hang_s=5.0, frozen_after=3)


def dog() -> Watchdog:
    return Watchdog(RULES, 0.0)


def state(watched: Watchdog) -> Condition:
    return watched.state


def call(dog: Watchdog, captured_s: float, now_s: float, **found: bool) -> Change | None:
    dog.began(captured_s)
    return dog.answered(now_s, captured_s, **found)


def test_it_waits_for_the_first_mask_and_shows_nothing() -> None:
    watched = dog()
    assert state(watched) is Condition.WAITING
    assert not watched.shows(0)
    assert watched.age_s(3) is None
    assert watched.tick(100) is None, "waiting alone is no fault"
    change = call(watched, 100, 100.5)
    assert change == Change(
        at_s=100.5, state=Condition.OK, before=Condition.WAITING, reaction=Reaction.SHOW
    )
    assert watched.shows(100.5)
    assert watched.age_s(101) == 1


def test_a_mask_after_its_deadline_is_late_and_shown() -> None:
    watched = dog()
    call(watched, 0, 1)
    assert state(watched) is Condition.OK, "exactly in time"
    call(watched, 1, 2.25)
    assert state(watched) is Condition.LATE
    assert watched.shows(2.25)
    call(watched, 2.5, 3)
    assert state(watched) is Condition.OK


def test_a_mask_of_two_periods_ago_is_stale_and_hidden() -> None:
    watched = dog()
    call(watched, 0, 0.5)
    assert watched.due_s() == 2
    assert watched.shows(1.99)
    assert not watched.shows(2), "though nobody has ticked"
    assert watched.tick(1.99) is None
    change = watched.tick(2)
    assert change is not None
    assert (change.state, change.reaction) == (Condition.STALE, Reaction.HIDE)
    assert watched.due_s() == math.inf
    call(watched, 2.5, 3)
    assert state(watched) is Condition.OK


def test_a_mask_that_comes_stale_is_never_shown() -> None:
    watched = dog()
    change = call(watched, 0, 2.5)
    assert change is not None
    assert change.state is Condition.STALE


def test_equal_numbers_of_changed_frames_in_a_row_are_a_frozen_engine() -> None:
    watched = dog()
    for now in range(2):
        call(watched, now, now + 0.5, repeats=True)
    call(watched, 2, 2.5)
    for now in range(3, 5):
        call(watched, now, now + 0.5, repeats=True)
        assert state(watched) is Condition.OK, "not in a row"
    change = call(watched, 5, 5.5, repeats=True)
    assert change is not None
    assert (change.state, change.reaction) == (Condition.FROZEN, Reaction.HIDE)
    watched.tick(9)
    assert state(watched) is Condition.FROZEN, "age makes it no better"
    call(watched, 9, 9.5)
    assert state(watched) is Condition.OK


def test_bad_numbers_are_hidden_until_a_good_mask_comes() -> None:
    watched = dog()
    change = call(watched, 0, 0.5, plausible=False)
    assert change is not None
    assert (change.state, change.reaction) == (Condition.BAD_NUMBERS, Reaction.HIDE)
    assert not watched.shows(0.5)
    call(watched, 1, 1.5)
    assert state(watched) is Condition.OK


def test_a_call_that_does_not_end_is_hung_and_restarted() -> None:
    watched = dog()
    call(watched, 0, 0.5)
    watched.began(1)
    watched.tick(2.5)
    assert state(watched) is Condition.STALE
    assert watched.due_s() == 6
    change = watched.tick(6)
    assert change is not None
    assert (change.state, change.reaction) == (Condition.HUNG, Reaction.RESTART)
    watched.restarted(6.5)
    assert state(watched) is Condition.WAITING
    assert watched.age_s(7) is None, "the old mask is of the old engine"
    call(watched, 7, 7.5)
    assert state(watched) is Condition.OK
    assert watched.entered == {
        Condition.WAITING: 2, Condition.OK: 2, Condition.LATE: 0, Condition.STALE: 1,
        Condition.FROZEN: 0, Condition.BAD_NUMBERS: 0, Condition.HUNG: 1,
    }  # fmt: skip


def test_a_worker_that_dies_is_hung_at_once() -> None:
    watched = dog()
    watched.began(1)
    watched.died(1.25)
    assert state(watched) is Condition.HUNG
    watched.restarted(1.5)
    assert state(watched) is Condition.WAITING


def test_a_new_engine_begins_without_the_repeats_of_the_old_one() -> None:
    watched = dog()
    for now in range(2):
        call(watched, now, now + 0.5, repeats=True)
    watched.restarted(3)
    call(watched, 3, 3.5, repeats=True)
    assert state(watched) is Condition.OK


@given(
    st.lists(
        st.tuples(st.floats(0, 4), st.booleans(), st.booleans(), st.sampled_from("tabdr")),
        max_size=40,
    )
)
def test_every_second_is_counted_once_and_only_good_masks_are_shown(
    steps: list[tuple[float, bool, bool, str]],
) -> None:
    watched, now = dog(), 0.0
    for wait, plausible, repeats, what in steps:
        now += wait
        match what:
            case "t":
                watched.tick(now)
            case "a":
                watched.answered(now, now - wait, plausible=plausible, repeats=repeats)
            case "b":
                watched.began(now)
            case "d":
                watched.died(now)
            case _:
                watched.restarted(now)
        if watched.shows(now):
            age = watched.age_s(now)
            assert age is not None
            assert age < RULES.stale_s
        assert watched.due_s() >= now
    assert sum(watched.seconds.values()) == pytest.approx(now)


def test_defaults_follow_from_the_rate() -> None:
    rules = Rules.at(25)
    assert rules.period_s == rules.deadline_s == 0.04
    assert rules.stale_s == 0.08
    assert Rules.at(25, deadline_s=0.1).deadline_s == 0.1


def test_an_application_sets_reactions_and_the_rest_stays() -> None:
    rules = Rules.at(30, reactions={Condition.FROZEN: Reaction.RESTART})
    assert rules.reaction(Condition.FROZEN) is Reaction.RESTART
    assert rules.reaction(Condition.STALE) is Reaction.HIDE
    assert set(REACTIONS) == set(Condition)


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SpecError, match="A rate of 0 frames per second must be greater than 0"):
        Rules.at(0)
    with pytest.raises(SpecError, match=r"deadline_s=-1\.0 must be finite and greater than 0"):
        Rules.at(30, deadline_s=-1.0)
    with pytest.raises(SpecError, match="the reaction to 'hung' is restart or stop"):
        Rules.at(30, reactions={Condition.HUNG: Reaction.SHOW})
    with pytest.raises(SpecError, match="'ok' is no fault: the reaction to it is show or hide"):
        Rules.at(30, reactions={Condition.OK: Reaction.RESTART})
    with pytest.raises(SpecError, match="frozen_after=0 must be at least 1"):
        Rules(period_s=1, deadline_s=1, stale_s=2, frozen_after=0)


def test_reactions_are_read_from_words() -> None:
    assert parse_reactions(["frozen=restart", "bad-numbers=stop"]) == {
        Condition.FROZEN: Reaction.RESTART, Condition.BAD_NUMBERS: Reaction.STOP,
    }  # fmt: skip
    for text, told in {
        "frozen": "'frozen' is no reaction. Give CONDITION=REACTION",
        "icy=stop": "Unknown condition 'icy'. Known: waiting, ok, late, stale, frozen",
        "frozen=melt": "Unknown reaction 'melt'. Known: show, hide, restart, stop",
    }.items():
        with pytest.raises(SpecError, match=re.escape(told)):
            parse_reactions([text])
