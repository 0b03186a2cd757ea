"""Bundles by their names, and patterns that no shell has expanded."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightawnet_edge.cli.paths import bundle_names, expand_patterns, find_bundle
from lightawnet_edge.errors import ArtifactError
from tests.cli.conftest import Cli
from tests.conftest import MakeBundle


@pytest.fixture
def home(tmp_path: Path, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with two bundles under `engines/`, and one that is being made."""
    for name in ("polypgen-openvino-int8", "polypgen-openvino-fp32", ".polypgen.new-1"):
        make_bundle(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_bundle_is_found_by_its_name_under_engines(home: Path) -> None:
    assert bundle_names() == ["polypgen-openvino-fp32", "polypgen-openvino-int8"]
    named = find_bundle(Path("polypgen-openvino-int8"))
    assert named == Path("engines/polypgen-openvino-int8")
    assert find_bundle(named) == named, "a path is taken as it is"


def test_a_bundle_here_comes_before_one_under_engines(home: Path, make_bundle: MakeBundle) -> None:
    (home / "engines" / "polypgen-openvino-int8").rename(home / "mine")
    make_bundle("mine")
    assert find_bundle(Path("mine")) == Path("mine")


def test_the_manifest_stands_for_its_bundle(home: Path, make_bundle: MakeBundle) -> None:
    bundle = make_bundle("b")
    assert find_bundle(bundle.path / "manifest.json") == bundle.path


def test_a_folder_that_is_no_bundle_does_not_hide_one(home: Path) -> None:
    (home / "polypgen-openvino-int8").mkdir()
    found = find_bundle(Path("polypgen-openvino-int8"))
    assert found == Path("engines/polypgen-openvino-int8")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("polypgen-openvin-int8", "Did you mean 'polypgen-openvino-int8'"),
        ("engines/polypgen-openvino-itn8", "Did you mean 'polypgen-openvino-int8'"),
        ("liver", "'engines' holds polypgen-openvino-fp32, polypgen-openvino-int8."),
    ],
)
def test_a_typo_is_told_what_is_like_it(home: Path, given: str, told: str) -> None:
    with pytest.raises(ArtifactError, match="is no bundle: there is no such folder") as error:
        find_bundle(Path(given))
    assert told in str(error.value)


def test_every_command_on_bundles_says_so(cli: Cli, home: Path) -> None:
    typo = "polypgen-openvin-int8"
    (home / "a.png").touch()
    for words in (["run", typo, "a.png"], ["inspect", typo], ["bench", typo], ["build", typo],
                  ["sensitivity", typo]):  # fmt: skip
        done = cli(*words)
        assert done.code == 3
        assert "Did you mean 'polypgen-openvino-int8'" in done.err


def test_a_pattern_is_expanded_where_the_shell_did_not(home: Path) -> None:
    for name in ("b.png", "a.png", "c.jpg", "odd[1].png"):
        (home / name).touch()
    assert expand_patterns([Path("[ab].png"), Path("c.jpg")]) == [
        Path("a.png"), Path("b.png"), Path("c.jpg"),
    ]  # fmt: skip
    assert expand_patterns([Path("odd[1].png")]) == [Path("odd[1].png")], "a file, not a pattern"
    assert expand_patterns([Path("missing.png")]) == [Path("missing.png")], "for others to refuse"
    with pytest.raises(ArtifactError, match=r"No file matches '\*\.bmp'"):
        expand_patterns([Path("*.bmp")])
