"""Long work says how much of it is done."""

from __future__ import annotations

from lightawnet_edge.progress import Stage, Step


def test_a_stage_counts_over_all_of_its_passes() -> None:
    heard: list[Step] = []
    stage = Stage("counting", 4, heard.append)
    assert list(stage.over("ab")) == ["a", "b"]
    next(stage.over("cd"))  # who looks at one item and goes has done nothing
    assert [step.done for step in heard] == [0, 1, 2, 2]
    list(stage.over("cd"))
    assert heard[-1] == Step("counting", 4, 4)
