from __future__ import annotations

import sys
import time

import pytest

from lightawnet_edge.benchmarks.process import WorkerProcess
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, EdgeError

ECHO = """
import os, sys
for line in sys.stdin:
    print('{"threads": ' + os.environ["OMP_NUM_THREADS"] + "}", flush=True)
"""


def process(code: str, timeout_s: float = 20.0) -> WorkerProcess:
    return WorkerProcess(
        "fast-int8", threads=3, timeout_s=timeout_s, command=[sys.executable, "-c", code]
    )


def test_every_engine_gets_the_same_threads() -> None:
    with process(ECHO) as worker:
        assert worker.ask("memory") == {"threads": 3}


def test_a_crash_is_told_with_the_last_words_of_the_process() -> None:
    code = "import sys; sys.stdin.readline(); sys.exit('Segmentation fault in layer 7')"
    with process(code) as worker, pytest.raises(EdgeError) as found:
        worker.ask("round")
    assert str(found.value) == (
        "The process of engine 'fast-int8' died during 'round' (exit status 1). "
        "It last said: Segmentation fault in layer 7"
    )


def test_a_process_that_is_gone_before_the_request_is_a_crash_too() -> None:
    with process("") as worker:
        worker._process.wait()
        for _ in range(2):
            with pytest.raises(EdgeError, match=r"died during 'load' .*It last said: nothing"):
                worker.ask("load")


def test_nobody_waits_for_ever() -> None:
    start = time.monotonic()
    with (
        process("import time; time.sleep(60)", timeout_s=0.3) as worker,
        pytest.raises(EdgeError, match=r"gave no answer to 'load' within 0\.3 s"),
    ):
        worker.ask("load")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("kind", "arguments", "text"),
    [
        (ArtifactError, '["it changed"]', "it changed"),
        (BackendUnavailableError, '["onnx", "no wheel"]', "'onnx' cannot run here: no wheel"),
    ],
)
def test_the_workers_own_errors_keep_their_class(
    kind: type[EdgeError], arguments: str, text: str
) -> None:
    answer = f'{{"error": "{kind.__name__}", "args": {arguments}}}'
    code = f"import sys\nfor line in sys.stdin: print({answer!r}, flush=True)"
    with process(code) as worker, pytest.raises(kind) as found:
        worker.ask("load")
    assert str(found.value) == text


def test_closing_ends_the_process_and_may_be_repeated() -> None:
    worker = process(ECHO)
    worker.close()
    worker.close()
    assert worker._process.poll() is not None
