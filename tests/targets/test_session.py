"""One call at a time, and one end: what sessions of all targets have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Port
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.targets.base import Ports, Tensors
from lightawnet_edge.targets.session import SerialSession, warmed_up

FRAME = np.zeros((2, 3), np.uint8)
PORTS = Ports(
    source=Port(shape=(2, 3), dtype="uint8"), outputs={"mask": Port(shape=(2, 3), dtype="uint8")}
)


class Slow(SerialSession):
    """Gives its frame back, after something else was done; knows how often it was freed."""

    def __init__(self, during: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.ports = PORTS
        self.during = during
        self.freed = 0

    def _run(self, frame: NDArray[Any], outputs: tuple[str, ...], out: Tensors | None) -> Tensors:
        assert not self.freed
        self.during()
        assert not self.freed
        return dict.fromkeys(outputs, frame)

    def _free(self) -> None:
        self.freed += 1


def test_closing_waits_for_the_call_that_runs_and_refuses_all_others() -> None:
    entered, leave = threading.Event(), threading.Event()
    errors: list[str] = []

    def wait() -> None:
        entered.set()
        leave.wait(10)

    session = Slow(wait)

    def call() -> None:
        try:
            session.infer(FRAME, ("mask",))
        except SpecError as error:
            errors.append(str(error))

    first, second = threading.Thread(target=call), threading.Thread(target=call)
    first.start()
    entered.wait(10)
    second.start()
    closing = threading.Thread(target=session.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    assert session.freed == 0
    leave.set()
    for thread in (first, second, closing):
        thread.join(10)
    assert session.freed == 1
    assert errors in ([], ["This engine is closed. Load the bundle again."]), "it had its turn"
    with pytest.raises(SpecError, match=r"is closed\. Load the bundle again"):
        session.infer(FRAME, ("mask",))
    with pytest.raises(SpecError, match="is closed"):
        session.device_time()
    session.close()
    assert session.freed == 1


def test_a_call_and_a_close_from_within_a_call_do_it_no_harm() -> None:
    """As a signal's handler would, which runs in the thread that it interrupts."""
    refused: list[str] = []

    def again() -> None:
        try:
            session.infer(FRAME, ("mask",))
        except SpecError as error:
            refused.append(str(error))
        session.close()

    session = Slow(again)
    np.testing.assert_array_equal(session.infer(FRAME, ("mask",))["mask"], FRAME)
    assert refused == ["This engine was called from within its own call. Wait for that."]
    assert session.freed == 1


def test_what_does_not_fit_is_refused_before_anything_runs() -> None:
    session = Slow(lambda: pytest.fail("it ran"))
    with pytest.raises(
        SpecError, match=r"frame is uint8 \(3, 2\), the engine takes uint8 \(2, 3\)"
    ):
        session.infer(np.zeros((3, 2), np.uint8), ("mask",))
    with pytest.raises(SpecError, match=r"frame is float32 \(2, 3\), the engine takes uint8"):
        session.infer(np.zeros((2, 3), np.float32), ("mask",))
    with pytest.raises(SpecError, match="The engine gives mask, and no probability"):
        session.infer(FRAME, ("mask", "probability"))


def test_a_session_that_does_not_run_once_is_freed() -> None:
    session = Slow(lambda: pytest.fail("it does not run"))
    with pytest.raises(pytest.fail.Exception):
        warmed_up(lambda: session)
    assert session.freed == 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"'engine\.xml' has 0 inputs \(none\), expected one"),
        ({"a": PORTS.source, "b": PORTS.source}, r"has 2 inputs \(a, b\), expected one"),
        (
            {"frame": Port(shape=(-1, 3), dtype="uint8")},
            r"input 'frame' of 'engine\.xml' is uint8 \(-1, 3\), expected a size that is fixed",
        ),
    ],
)
def test_an_engine_takes_one_frame_of_one_size(inputs: dict[str, Port], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        Ports.of("engine.xml", inputs, PORTS.outputs)
