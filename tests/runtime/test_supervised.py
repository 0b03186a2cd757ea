"""A process of its own for an engine: what it gives, and what is said when it fails."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, SpecError
from lightawnet_edge.runtime.serving import Loader
from lightawnet_edge.runtime.supervised import Answer, Gone, Ready, Supervised
from tests.runtime import engines

GOOD, FAULTY = (np.full((16, 32, 3), value, np.uint8) for value in (51, 204))


@contextmanager
def running(load: Loader) -> Iterator[Supervised]:
    worker = Supervised(engines.CONTRACT, load)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
    assert active_children() == []


def heard(worker: Supervised) -> Ready | Answer | Gone:
    found = worker.poll(60)
    assert found is not None
    return found


def test_a_frame_gives_mask_and_probability_and_the_next_one_changes_neither() -> None:
    with running(engines.working) as worker:
        assert heard(worker) == Ready()
        worker.begin(FAULTY)
        first = heard(worker)
        worker.begin(GOOD)
        second = heard(worker)
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert (first.mask == 255).all()
    assert (second.mask == 0).all()
    assert first.probability is not None
    assert first.probability.shape == (16, 32)
    assert first.probability[0, 0] == pytest.approx(0.8)


def test_without_probabilities_there_is_the_mask() -> None:
    worker = Supervised(replace(engines.CONTRACT, probability=False), engines.working)
    worker.start()
    heard(worker)
    worker.begin(GOOD)
    found = heard(worker)
    worker.stop()
    assert isinstance(found, Answer)
    assert found.probability is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("die", "the process ended with exit status 3"),
        ("raise", "'tiny' cannot run here: out of memory"),
    ],
)
def test_a_process_that_fails_says_why_and_can_be_started_again(fault: str, reason: str) -> None:
    with running(functools.partial(engines.faulty, fault)) as worker:
        heard(worker)
        worker.begin(FAULTY)
        assert heard(worker) == Gone(reason)
        worker.start()
        assert heard(worker) == Ready()
        worker.begin(GOOD)
        assert isinstance(heard(worker), Answer)


def test_a_call_that_does_not_end_is_ended() -> None:
    with running(functools.partial(engines.faulty, "sleep")) as worker:
        heard(worker)
        worker.begin(FAULTY)
        assert worker.poll(0.2) is None
        start = time.monotonic()
        worker.start()
        assert time.monotonic() - start < 60, "not the ten minutes of that call"
        assert heard(worker) == Ready()


def test_a_process_that_was_killed_from_outside_is_noticed_by_the_next_frame() -> None:
    with running(engines.working) as worker:
        heard(worker)
        (child,) = active_children()
        child.kill()
        child.join()
        worker.begin(GOOD)
        assert heard(worker) == Gone("the process was ended by SIGKILL")


@pytest.mark.parametrize(
    ("load", "kind", "told"),
    [
        (engines.refusing, ArtifactError, "The engine is not what it was"),
        (engines.missing, BackendUnavailableError, "'tiny' cannot run here: it is not installed"),
    ],
)
def test_what_cannot_be_loaded_is_raised_as_it_was_there(
    load: Callable[[], engines.Engine], kind: type[Exception], told: str
) -> None:
    with running(load) as worker, pytest.raises(kind, match=told):
        worker.poll(60)


def test_a_process_that_dies_while_it_loads_is_gone() -> None:
    with running(engines.crashing) as worker:
        assert heard(worker) == Gone("the process ended with exit status 4")


def test_loading_takes_no_longer_than_it_may() -> None:
    worker = Supervised(engines.CONTRACT, engines.never, load_s=0.01)
    worker.start()
    assert worker.poll(0.2) == Gone("the engine was not loaded within 0.01 s")
    worker.stop()


def test_without_a_process_there_is_nothing_to_ask() -> None:
    worker = Supervised(engines.CONTRACT, engines.working)
    worker.stop()
    with pytest.raises(SpecError, match="No process runs"):
        worker.poll(0)


def test_a_bundle_is_refused_before_a_process_is_started(
    kits: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="is no bundle"):
        Supervised.of(tmp_path)
    with pytest.raises(SpecError, match="threads=0 must be at least 1"):
        Supervised.of(tmp_path, threads=0)
    with pytest.raises(BackendUnavailableError, match="has no engine yet"):
        Supervised.of(kits["tensorrt"])
