"""The command line from outside: exit codes, one-line errors, clean stdout, and no heavy import."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from lightawnet_edge import __version__
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.layers import PARTS
from lightawnet_edge.bundle.lock import writing
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.cli import app
from lightawnet_edge.cli.examples import EXAMPLES
from lightawnet_edge.model.checkpoint import save_checkpoint
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.specs import ColorOrder, Normalization, Size
from tests.cli.conftest import Cli
from tests.conftest import MakeBundle, random_network

Bundles = dict[tuple[str, str], Path]


COMMANDS = tuple(EXAMPLES)


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_has_a_short_form(cli: Cli, flag: str) -> None:
    assert cli(flag).out.strip() == __version__


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command(cli: Cli, flag: str) -> None:
    text = cli(flag).out
    commands: Any = typer.main.get_command(app)
    assert tuple(commands.commands) == COMMANDS
    for command in COMMANDS:
        assert command in text
    assert "Usage: lightawnet-edge [OPTIONS]" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_lines_to_copy(cli: Cli, command: str) -> None:
    done = cli(command, "-h")
    assert done.code == 0
    assert f"Usage: lightawnet-edge {command}" in done.out
    (first, *_) = EXAMPLES[command]
    assert f"$ lightawnet-edge {first.split()[0]}" in done.out
    assert done.out == cli(command, "--help").out


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_is_a_command_that_parses(line: str) -> None:
    name, *words = line.split()
    commands: Any = typer.main.get_command(app)
    commands.commands[name].make_context(name, words)


def test_a_shell_completes_commands_and_bundles(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle("polypgen-onnx-int8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("_LIGHTAWNET_EDGE_COMPLETE", "complete_bash")

    def complete(*words: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", " ".join(("lightawnet-edge", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        return CliRunner().invoke(app, prog_name="lightawnet-edge").output.split()

    assert complete("ins") == ["inspect"]
    assert complete("inspect", "poly") == ["polypgen-onnx-int8"]
    assert complete("inspect", "other") == [], "the shell goes on with files"
    assert complete("export", "--target", "tensorrt") == ["tensorrt", "tensorrt-rtx"]


def test_help_and_completion_import_nothing_heavy() -> None:
    program = (
        "import os, sys; os.environ['COMP_WORDS'] = 'lightawnet-edge inspect p'\n"
        "os.environ['COMP_CWORD'] = '2'\n"
        "from lightawnet_edge.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'cv2', 'onnx', 'onnxruntime', 'openvino', 'nncf', 'matplotlib'}\n"
        "sys.exit(f'{heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)"
    )
    for words, variables in (
        (["export", "-h"], {}),
        ([], {"_LIGHTAWNET_EDGE_COMPLETE": "complete_bash"}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            env={**os.environ, **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_export_takes_the_checkpoint_as_a_file_or_by_its_flag(
    cli: Cli, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    rest = ["--target", "onnx", "--calibration", dataset, "--out", tmp_path]
    assert cli("export", checkpoint, *rest).out.startswith(str(tmp_path / "tiny-onnx-fp32"))
    assert "nothing to do" in cli("export", "--weights", checkpoint, *rest).err
    both = cli("export", checkpoint, "--weights", "kvasir", *rest)
    assert both.code == 2
    assert "One checkpoint per bundle" in both.err


def test_doctor_has_a_line_per_target_and_a_reason_for_each_gap(cli: Cli) -> None:
    rows = {row["name"]: row for row in json.loads(cli("doctor", "--json").out)}
    assert {"cpu", "nvidia gpu", "target onnx", "target openvino", "target tensorrt"} <= set(rows)
    assert "runs fp32" in rows["target openvino"]["can"][0]
    assert all(row["can"] or row["cannot"] for row in rows.values())
    text = cli("doctor").out
    assert len(text.splitlines()) == len(rows), "one line each"


def test_export_prints_the_bundle_on_stdout_and_narrates_on_stderr(
    cli: Cli, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    command = [
        "export", "--target", "onnx", "--weights", checkpoint, "--calibration", dataset,
        "--out", tmp_path,
    ]  # fmt: skip
    first = cli(*command, "--json")
    data = json.loads(first.out)
    assert data["built"] is True
    assert data["manifest"]["executed"]["fp32"] == 1
    assert "tracing the device graph" in first.err
    second = cli(*command)
    assert "nothing to do" in second.err
    assert second.out.startswith(str(tmp_path / "tiny-onnx-fp32"))


def test_a_kit_is_printed_with_how_to_finish_it(
    cli: Cli, kits: dict[str, Path], checkpoint: Path, dataset: Path
) -> None:
    command = ["export", "--target", "tensorrt", "--fp16", "--device", "jetson-orin"]
    inputs = ["--weights", checkpoint, "--calibration", dataset, "--out", kits["tensorrt"].parent]
    done = cli(*command, *inputs)
    assert done.code == 0
    assert "nothing to do" in done.err
    assert "lightawnet-edge build tiny-tensorrt-fp16-jetson-orin" in done.out
    assert "trtexec --onnx=typed.onnx" in done.out
    manifest = json.loads(cli(*command, *inputs, "--json").out)["manifest"]
    assert manifest["state"] == "pending"
    assert manifest["kit"]["numerics"]["frames"] == 8


def test_a_kit_that_cannot_be_built_here_stays_pending(
    cli: Cli, kits: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    done = cli("build", kits["tensorrt"])
    assert done.code == 4
    assert "is for jetson-orin, and left as it was (state: pending)" in done.err
    assert done.out == ""


@pytest.mark.slow
def test_build_where_nothing_can_run_leaves_an_engine_and_says_that_it_never_ran(
    cli: Cli, kits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "kit"
    shutil.copytree(kits["tensorrt-rtx"], copy)
    exported = (copy / "engine.plan").read_bytes()
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)  # nothing runs on any machine
    done = cli("build", copy, "--json")
    assert done.code == 4
    assert json.loads(done.out)["manifest"]["state"] == "unchecked"
    assert (copy / "engine.plan").read_bytes() == exported, "what was exported stays"
    assert "is left unchecked. Finish it on a machine that runs it: lightawnet-edge bu" in done.err
    text = cli("build", copy)
    assert text.code == 4
    assert "unchecked: the engine is built and never ran" in text.out


def test_calibrate_writes_a_set_that_says_what_it_covers(
    cli: Cli, dataset: Path, checkpoint: Path, tmp_path: Path
) -> None:
    command = ["calibrate", "--data", dataset, "--frames", "4", "--out", tmp_path / "set"]
    first = cli(*command, "--json", "--weights", checkpoint)
    data = json.loads(first.out)
    assert len(data["frames"]) == 4
    assert data["stability"]["half"] == 2
    assert cli(*command).code == 2
    second = cli(*command, "--force", "--no-stability")
    assert "4 of 8 frames" in second.out
    assert "stability of scales: not measured" in second.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", "--int8", "--fp32"], 2, "One precision per bundle: found --fp32 and --int8"),
        (["export", "--max-dice-drop", "0.1"], 2, "is the budget of --routing auto, and of --int8"),
        (["export", "--frame", "big"], 2, "'big' is no size. Give HEIGHTxWIDTH"),
        (["export", "--crop", "1,2"], 2, "'1,2' is no region. Give X,Y,WIDTH,HEIGHT in pixels"),
        (["export", "--bgr", "--color", "nv12"], 2, "found --bgr and --color nv12"),
        (["export", "--color", "rgba"], 2, "Known: rgb, bgr, gray, nv12, yuy2"),
        (["export", "--weights", "nothing"], 3, "neither a file nor packaged weights. Packaged:"),
        (["export", "--target", "onnx", "--fp16"], 4, "would cast to fp32 silently"),
        (["export", "--target", "tensorrt", "--bf16"], 2, "writes no BF16 graph"),
        (["export", "--target", "tensorrt", "--device", "jetson-nano"], 2, "Known: jetson-xavier"),
        (["export", "--target", "tensorrt", "--device", "rtx"], 2, "Use --target tensorrt-rtx"),
        (
            ["export", "--target", "tensorrt", "--device", "jetson-orin", "--must-build"],
            4,
            "built on the device",
        ),
        (["export", "--target", "tensorrt-rtx", "--dla"], 2, "--dla is for --target tensorrt"),
        (["export", "--device", "jetson-orin"], 2, "--device is for --target tensorrt, not openv"),
        (["build", "nowhere"], 3, "is no bundle"),
        (["export", "--int8", "--calibration", "nowhere"], 3, "No folder 'nowhere'"),
        (["calibrate", "--data", "nowhere", "--out", "set"], 3, "No folder 'nowhere'"),
        (["calibrate", "--data", ".", "--out", "set"], 2, "No image in '.'"),
        (["calibrate", "--data", ".", "--out", "s", "--frames", "1"], 2, "a calibration set has"),
        (["run", "nowhere", "frame.png"], 3, "No file 'frame.png'"),
        (["bench"], 2, "lightawnet-edge export"),
        (["bench", "nowhere"], 3, "is no bundle"),
        (["bench", "--min-int8-share", "2"], 2, "must lie between 0 and 1"),
        (["export", "--int8", "--min-int8-share", "-1"], 2, "must lie between 0 and 1"),
        (["inspect", "nowhere"], 3, "is no bundle"),
        (["inspect", "nowhere", "--calls", "0"], 2, "calls=0 must be at least 1"),
        (["evaluate", "--data", "nowhere"], 3, "'nowhere' has no folder 'images'"),
        (["evaluate", "--data", "nowhere", "--size", "100"], 2, "must be multiples of 16"),
        (["evaluate", "--data", "nowhere", "--weights", "nothing"], 3, "nor packaged weights"),
        (["card", "nowhere"], 3, "'nowhere' cannot be read"),
        (["train", "--data", "nowhere", "--out", "run"], 3, "nowhere"),
        (
            ["import-checkpoint", "nowhere.pkl", "--out", "x.safetensors"],
            3,
            "No file 'nowhere.pkl'",
        ),
    ],
)
def test_a_user_s_mistake_is_one_line_and_an_exit_code(
    cli: Cli,
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli(*arguments)
    assert done.code == code
    assert "Traceback" not in done.err
    assert done.err.startswith("error: ")
    assert message in done.err
    assert done.out == ""
    assert not list(tmp_path.iterdir()), "a refused request leaves nothing behind"


@pytest.mark.parametrize("arguments", [["export", "--target", "coreml"], ["explode"], ["run"]])
def test_a_misspelt_request_exits_2(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize("before", [True, False])
def test_debug_shows_the_traceback_wherever_it_stands(cli: Cli, before: bool) -> None:
    from lightawnet_edge.errors import SpecError

    request = ("export", "--int8", "--fp32")
    with pytest.raises(SpecError):
        cli(*(("--debug", *request) if before else (*request, "--debug")))


def test_run_writes_masks_and_reports_broken_frames(
    cli: Cli, bundles: Bundles, dataset: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(dataset / "images", mixed)
    (mixed / "zz.png").write_bytes(b"broken")
    done = cli("run", bundles["openvino", "int8"], mixed, "--out", tmp_path / "out")
    assert done.code == 0
    assert done.out.startswith("8 masks and overlays")
    assert "1 skipped" in done.out
    assert "skipped" in done.err
    assert "zz.png' cannot be decoded" in done.err
    assert len(list((tmp_path / "out").glob("*.mask.png"))) == 8
    assert "frames per second, the engine alone" in done.out
    lines = (tmp_path / "out" / "frames.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "frame,foreground,seconds,error"
    assert len(lines) == 10
    quoted = cli(
        "run", bundles["openvino", "int8"], mixed / "*0.png", "-o", tmp_path / "o", "--json"
    )
    assert "earlier runs" not in quoted.err
    again = cli("run", bundles["openvino", "int8"], mixed / "*0.png", "-o", tmp_path / "out")
    assert "holds 8 masks of earlier runs; those of frames that this run does not" in again.err
    (row,) = json.loads(quoted.out)
    assert row["name"] == "frame0"
    assert row["seconds"] > 0


def test_two_runs_do_not_write_one_folder_at_once(
    cli: Cli, bundles: Bundles, dataset: Path, tmp_path: Path
) -> None:
    with writing(tmp_path / "out"):
        done = cli("run", bundles["openvino", "int8"], dataset / "images", "-o", tmp_path / "out")
    assert done.code == 2
    assert "Another process is writing" in done.err
    assert not (tmp_path / "out").exists()


def test_run_fails_when_no_frame_could_be_read(cli: Cli, bundles: Bundles, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    done = cli("run", bundles["onnx", "fp32"], tmp_path / "a.png", "--out", tmp_path / "out")
    assert done.code == 3
    assert "cannot be decoded" in done.err


@pytest.mark.slow
def test_demo_goes_from_weights_to_a_report(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    command = [
        "demo", "--weights", checkpoint, "--engines", tmp_path / "engines",
        "--out", tmp_path / "reports", "--calls", "10", "--limit", "3", "--json",
    ]  # fmt: skip
    done = cli(*command)
    assert done.code == 0, done.err
    records = {record["bundle"]: record for record in json.loads(done.out)["records"]}
    engines = {f"tiny-openvino-{kind}" for kind in ("fp32", "int8")}
    camera = {f"{engine}-1080x1920" for engine in engines}
    eager = {f"pytorch-eager-tiny-{frame}" for frame in ("64x64", "1080x1920")}
    assert set(records) == eager | engines | camera
    assert all(records[name]["frame"] == "1080x1920" for name in camera)
    assert all(set(records[name]["parts_s"]) == set(PARTS) for name in engines | camera)
    assert "frames are the packaged ones, stretched" in done.err
    quantized = records["tiny-openvino-int8"]
    assert quantized["executed"]["int8"] > 0.9
    assert quantized["accuracy"]["n"] == 3
    assert quantized["latency"]["n"] >= 10
    low, high = quantized["dice_drop"]["ci95"]
    assert low <= quantized["dice_drop"]["mean"] <= high
    (page,) = (tmp_path / "reports").glob("*/report.html")
    assert "tiny-openvino-int8" in page.read_text(encoding="utf-8")


def test_inspect_says_what_runs_as_a_table_or_as_json(cli: Cli, bundles: Bundles) -> None:
    command = ["inspect", bundles["openvino", "int8"], "--calls", "2", "--threads", "1"]
    data = json.loads(cli(*command, "--json").out)
    assert data["bundle"] == "tiny-openvino-int8"
    assert data["executed"] == data["executed_at_export"]
    assert data["profile"]["calls"] == 2
    assert {"e1/depthwise", "out/deep"} <= {layer["name"] for layer in data["layers"]}
    done = cli(*command, "--no-profile")
    assert done.code == 0
    assert "INT8" in done.out
    assert "e1/depthwise" in done.out


def test_bench_reports_first_then_fails_where_too_little_ran_in_int8(
    cli: Cli, bundles: Bundles, tmp_path: Path
) -> None:
    command = [
        "bench", bundles["openvino", "int8"], "--no-baseline", "--calls", "2", "--rounds", "1",
        "--limit", "2", "--threads", "1", "--out", tmp_path,
    ]  # fmt: skip
    done = cli(*command, "--min-int8-share", "0.9999", "--json")
    assert done.code == 5
    told = json.loads(done.out)
    assert told["records"][0]["executed"]["int8"] > 0.9
    assert "2 frames are few" in " ".join(told["doubts"]), "of the whole run"
    assert told["headline"].startswith("tiny-openvino-int8 takes ")
    assert told["report"].endswith("report.html")
    assert "tiny-openvino-int8: 0.9" in done.err
    assert "'e2/depthwise' (" in done.err
    (file,) = tmp_path.glob("*/report.json")
    written = json.loads(file.read_text(encoding="utf-8"))
    assert "e1/depthwise" in {layer["name"] for layer in written["records"][0]["layers"]}
    assert written["provenance"] == told["provenance"]
    bundle = written["provenance"]["bundles"]["tiny-openvino-int8"]
    manifest = (bundles["openvino", "int8"] / "manifest.json").read_bytes()
    assert bundle["manifest_sha256"] == hashlib.sha256(manifest).hexdigest()
    for name, sha256 in bundle["engine"].items():
        assert sha256_of(bundles["openvino", "int8"] / name) == sha256
    assert set(bundle["engine"]) == {"engine.xml", "engine.bin"}
    assert bundle["checkpoint"] == json.loads(manifest)["checkpoint"]
    command = written["provenance"]["command"]
    assert command[:2] == ["lightawnet-edge", "bench"]
    assert command[-3:] == ["--min-int8-share", "0.9999", "--json"]


def test_bench_of_all_leaves_kits_out_that_wait_for_their_device(
    cli: Cli,
    bundles: Bundles,
    kits: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    kit = shutil.copytree(kits["tensorrt"], tmp_path / "engines" / "kit")
    quick = ["--no-baseline", "--calls", "2", "--rounds", "1", "--limit", "1", "--threads", "1"]
    alone = cli("bench", *quick)
    assert alone.code == 4, "a kit is no broken file"
    assert "has no engine yet (state: pending). Finish it on the jetson-orin" in alone.err
    shutil.copytree(bundles["openvino", "fp32"], tmp_path / "engines" / "cpu")
    done = cli("bench", *quick)
    assert done.code == 0
    assert "left out: 'engines/kit' is not built" in done.err
    named = cli("bench", "engines/cpu", kit, *quick)
    assert (named.code, named.out) == (4, "")
    assert len(named.err.splitlines()) == 1, "what was asked for by name is refused before the rest"


def test_import_checkpoint_converts_and_does_not_overwrite(cli: Cli, tmp_path: Path) -> None:
    pickle = tmp_path / "theirs.pkl"
    torch.save({"state": {}, "epoch": 3}, pickle)
    done = cli("import-checkpoint", pickle, "--out", tmp_path / "ours.safetensors")
    assert done.code == 3
    assert "is missing" in done.err
    (tmp_path / "ours.safetensors").write_text("mine")
    done = cli("import-checkpoint", pickle, "--out", tmp_path / "ours.safetensors")
    assert done.code == 2
    assert "replace it with --force" in done.err
    assert (tmp_path / "ours.safetensors").read_text() == "mine"
    before = pickle.read_bytes()
    done = cli("import-checkpoint", pickle, "--out", pickle, "--force")
    assert done.code == 2
    assert "is the file to convert" in done.err
    assert pickle.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_one_line(
    cli: Cli, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    done = cli("export", "--target", "onnx", "--weights", checkpoint, "--out", tmp_path / "file")
    assert done.code == 3
    assert done.err.splitlines()[-1].startswith("error: '")
    assert "Traceback" not in done.err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_missing_package_is_named_with_its_install_command(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.startswith("lightawnet_edge.export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightawnet_edge.model.lowering", None)
    done = cli("export", "--fp32")
    assert done.code == 4
    assert "pip install 'lightawnet-edge[all]'" in done.err


def test_evaluate_prints_a_table_or_json_with_every_frame(
    cli: Cli, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "g.csv").write_text("stem,group\nframe1,north\n")
    command = [
        "evaluate", "--weights", checkpoint, "--data", dataset, "--limit", "3", "--threads", "1",
        "--groups", tmp_path / "g.csv",
    ]  # fmt: skip
    text = cli(*command).out
    assert "tiny at 64x64: Dice" in text
    assert "north" in text
    done = cli(*command, "--json", "--out", tmp_path / "out")
    data = json.loads(done.out)
    assert len(data["frames"]) == data["overall"]["n"] == 3
    assert data["weights"]["name"] == "tiny"
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == data


def test_evaluate_writes_nothing_among_the_frames(
    cli: Cli, checkpoint: Path, dataset: Path
) -> None:
    images = dataset / "images"
    done = cli("evaluate", "--weights", checkpoint, "--data", dataset, "--out", images)
    assert done.code == 2
    assert "is the folder of the frames: worst.jpg would lie among them" in done.err
    assert not (images / "evaluation.json").exists()


def test_the_command_of_a_card_works_when_it_is_pasted(
    cli: Cli, checkpoint: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(checkpoint, tmp_path / "my weights.safetensors")
    shutil.copytree(dataset, tmp_path / "frames")
    command = [
        "evaluate", "--weights", tmp_path / "my weights.safetensors", "--data", "frames",
        "--size", "32x32", "--limit", "2", "-o", "measured",
    ]  # fmt: skip
    assert cli(*command).code == 0
    assert cli("card", "measured", "--out", "cards").code == 0
    text = (tmp_path / "cards" / "my weights.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    (line,) = re.findall(r"```bash\n(.*)\n```", text)
    first = json.loads((tmp_path / "measured" / "evaluation.json").read_text())
    (tmp_path / "measured" / "evaluation.json").unlink()
    program, *words = shlex.split(line)
    done = cli(*words)
    assert (program, done.code) == ("lightawnet-edge", 0), done.err
    again = json.loads((tmp_path / "measured" / "evaluation.json").read_text())
    assert again["asked"].pop("command") == first["asked"].pop("command")
    assert {**again, "asked": None} == {**first, "asked": None}


def test_card_writes_markdown_from_an_evaluation_and_does_not_overwrite(
    cli: Cli, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    measured = tmp_path / "measured"
    cli("evaluate", "--weights", checkpoint, "--data", dataset, "--limit", "2", "-o", measured)
    command = ["card", measured, "--out", tmp_path / "cards"]
    done = cli(*command)
    assert done.code == 0
    assert done.out.strip() == str(tmp_path / "cards" / "tiny.md")
    again = cli(*command)
    assert again.code == 2
    assert "Replace it with --force" in again.err
    assert cli(*command, "--force").code == 0


def test_packaged_frames_are_no_default_for_gray_networks(
    cli: Cli, tmp_path: Path, make_bundle: MakeBundle
) -> None:
    weights = tmp_path / "ct.safetensors"
    meta = CheckpointMeta(in_channels=1, size=Size(32, 48))
    save_checkpoint(weights, random_network(in_channels=1).state_dict(), meta)
    gray = Contract(
        frame=Size(16, 32), color=ColorOrder.GRAY, network=Size(16, 32),
        normalization=Normalization(), threshold=0.5, probability=True,
    )  # fmt: skip
    bundle = make_bundle("ct", contract=gray).path
    for command, remedy in (
        (["export", weights, "--out", tmp_path], "--calibration DIR"),
        (["inspect", "--routing", weights], "--calibration DIR"),
        (["sensitivity", bundle], "--data DIR"),
        (["bench", bundle], "--data DIR"),
    ):
        done = cli(*command)
        assert done.code == 2, done.err
        assert "'ct' takes gray frames, and the packaged ones are colonoscopy" in done.err
        assert f"Give {remedy} of frames of its own domain" in done.err


def test_inspect_routing_says_what_freezing_each_layer_costs(
    cli: Cli, checkpoint: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = ("inspect", "--routing", checkpoint, "--calibration", dataset)
    done = cli(*request)
    assert done.code == 0, done.err
    for word in ("routing of tiny", "u4", "all", "Dice change", "SNR dB", "frames are few"):
        assert word in done.out
    assert (tmp_path / "reports" / "routing-tiny.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(cli(*request, "--json").out)
    assert [block["block"] for block in found["blocks"]][-1] == "out"
    assert found["calibrated_frames"] + found["measured_frames"] == len(
        list((dataset / "images").iterdir())
    )


def test_inspect_wants_a_bundle_or_a_routing(cli: Cli, bundles: Bundles) -> None:
    for request in (("inspect",), ("inspect", bundles["onnx", "fp32"], "--routing", "polypgen")):
        done = cli(*request)
        assert (done.code, done.out) == (2, "")
        assert "give exactly one" in done.err
    done = cli("inspect", bundles["onnx", "fp32"], "--calibration", "frames")
    assert (done.code, done.out) == (2, "")


def test_sensitivity_names_the_layers_that_hurt_as_a_table_or_as_json(
    cli: Cli, bundles: Bundles, dataset: Path
) -> None:
    request = ("sensitivity", bundles["onnx", "int8"], "--data", dataset, "--layers", "1")
    done = cli(*request)
    assert done.code == 0, done.err
    for word in ("sensitivity of tiny-onnx-int8", "SQNR dB", "Dice change", "frames are few"):
        assert word in done.out
    found = json.loads(cli(*request, "--json").out)
    assert [layer["dice_gain"] is None for layer in found["layers"][:2]] == [False, True]
    assert cli("sensitivity", bundles["onnx", "fp32"]).code == 2
