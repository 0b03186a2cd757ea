from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from pkgutil import walk_packages

import pytest

import lightawnet_edge

HEAVY = ["torch", "onnx", "onnxruntime", "openvino", "nncf", "tensorrt", "tensorrt_rtx", "cv2"]
"""What a device may lack, and what nobody should wait for to read a help text."""


def heavy_imports(code: str) -> str:
    """Run Python code in a fresh interpreter; say which heavy modules it imported."""
    report = f"import sys; print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr.strip()


def test_every_public_name_is_there_and_documented() -> None:
    for name in lightawnet_edge.__all__:
        value = getattr(lightawnet_edge, name)
        assert value.__module__.startswith("lightawnet_edge."), name
        assert value.__doc__, name


def test_the_list_of_names_is_sorted_complete_and_what_dir_shows() -> None:
    assert lightawnet_edge.__all__ == sorted(lightawnet_edge._HOMES)
    assert dir(lightawnet_edge) == sorted([*lightawnet_edge.__all__, "__version__"])


def test_errors_are_public_with_all_their_kinds() -> None:
    kinds = lightawnet_edge.EdgeError.__subclasses__()
    assert {kind.__name__ for kind in kinds} <= set(lightawnet_edge.__all__)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'LightAWnet'"):
        lightawnet_edge.LightAWnet  # noqa: B018 # asking is the test
    assert not hasattr(lightawnet_edge, "numpy")


@pytest.mark.parametrize(
    "code",
    [
        "import lightawnet_edge",
        "from lightawnet_edge import ArtifactError, Bundle, Precision, Segmenter",
        "import lightawnet_edge.cli",
        "import lightawnet_edge.targets.table, lightawnet_edge.data.frameset",
    ],
)
def test_importing_is_free(code: str) -> None:
    assert heavy_imports(code) == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["export", "--help"], ["bench", "--help"]])
def test_help_is_free(arguments: list[str]) -> None:
    code = (
        "import lightawnet_edge.cli, sys\n"
        f"sys.argv = ['lightawnet-edge', *{arguments}]\n"
        "try: lightawnet_edge.cli.main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
    )
    assert heavy_imports(code) == "[]"


def test_every_module_can_be_imported() -> None:
    root = Path(lightawnet_edge.__file__).parent
    found = [module.name for module in walk_packages([str(root)], "lightawnet_edge.")]
    names = [name for name in found if not name.endswith("__main__")]  # runs the command line
    assert "lightawnet_edge.model.network" in names
    for name in names:
        assert importlib.import_module(name).__doc__, name


def test_types_are_shipped() -> None:
    spec = find_spec("lightawnet_edge")
    assert spec is not None
    assert spec.origin is not None
    assert (Path(spec.origin).parent / "py.typed").is_file()
