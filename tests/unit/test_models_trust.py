"""Models do not vouch for themselves: swapped files, manifests and calibrations are noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid import paths
from arcid.errors import (
    CalibrationInvalid,
    ManifestInvalid,
    ModelHashMismatch,
    ModelUnsupported,
    ModelUnverified,
)
from arcid.models import goldens, trust, weights
from arcid.pipeline import Pipeline
from arcid.runtime import RUNTIMES, open_session

FACE, INT8, DETECT = "arcid-face-s", "arcid-face-s-int8", "arcid-detect-s"
CONTRACT = "2a329a550de84e45ebdba4de782107a3df66a2a36748a20c168949de6465c628"
FORMER = {
    "arcid-face-s-1": "f9e2572744e7ae7f8106f568d51e7cc3a21d8dbb13c030668b4b962b25fecd28",
    "arcid-face-s-2": "52826d5bc15e44fcd6fee5cefe2471ce173ec52e768bbb4121e59330cadd3886",
    "arcid-face-s-3": "82d52047c72515424b3b96035fa72c8b920e6cd376eddca446418b3c9e9fd09f",
}
SHIPPED = paths.packaged_models_dir()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing but the package, and that a copy which a test may change."""
    for name in ("ARCID_MODELS", "ARCID_DATA", "ARCID_DETECTOR", "ARCID_RECOGNISER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    shutil.copytree(SHIPPED, tmp_path / "package")
    monkeypatch.setattr("arcid.paths.packaged_models_dir", lambda: tmp_path / "package")
    return tmp_path


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content, indent=2), "utf-8")


def own(home: Path, name: str = "mine", source: str = FACE, **changes: Any) -> Path:
    """A bundle as somebody hands it over, in ``ARCID_MODELS``."""
    folder = home / "home" / "models" / name
    shutil.copytree(SHIPPED / source, folder, ignore=shutil.ignore_patterns("manifest.sig"))
    edit(folder / "manifest.json", lambda m: m.update(name=name, default=False, **changes))
    (folder / "goldens.json").unlink()
    return folder


def test_the_pins_are_those_of_what_ships() -> None:
    """Where this fails after a bundle was made anew: python scripts/pin_models.py."""
    folders = [path.parent for path in SHIPPED.glob("*/manifest.json")]
    assert {f.name: trust.digest(f) for f in folders} == trust.PACKAGED
    shipped = weights.CALIBRATIONS.glob("*.json")
    assert {p.name: weights.sha256_file(p) for p in shipped} == trust.CALIBRATIONS
    for name in trust.PACKAGED:
        assert weights.resolve(name).trust == "packaged"


def test_stored_vectors_keep_their_contract() -> None:
    assert weights.resolve(FACE).manifest.contract_id == CONTRACT
    assert weights.resolve(INT8).manifest.contract_id == CONTRACT
    assert {name: weights.resolve(name).manifest.contract_id for name in FORMER} == FORMER


# what ships


def lower(calibration: dict[str, Any]) -> None:
    for row in calibration["fmr_table"]:
        row["cosine"] -= 0.3


PLANTED: dict[str, tuple[str, Callable[[Path], None], type[Exception]]] = {
    "other weights": (
        FACE, lambda f: shutil.copy(SHIPPED / INT8 / "model.onnx", f / "model.onnx"),
        ModelHashMismatch,
    ),
    "other weights with their manifest": (
        FACE,
        lambda f: (shutil.rmtree(f), shutil.copytree(SHIPPED / INT8, f),
                   edit(f / "manifest.json", lambda m: m.update(name=FACE, default=True))),
        ModelHashMismatch,
    ),
    "a manifest with another input": (
        FACE, lambda f: edit(f / "manifest.json", lambda m: m["input"].update(colour="BGR")),
        ModelHashMismatch,
    ),
    "another threshold": (
        DETECT, lambda f: edit(f / "manifest.json", lambda m: m["options"].update(threshold=0.99)),
        ModelHashMismatch,
    ),
    "an edited calibration": (
        FACE, lambda f: edit(f / "calibration.json", lower), ModelHashMismatch,
    ),
    "no goldens": (DETECT, lambda f: (f / "goldens.json").unlink(), ModelHashMismatch),
    "edited goldens": (
        FACE, lambda f: edit(f / "goldens.json", lambda g: g.update(minimum_cosine=-1)),
        ModelHashMismatch,
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_a_packaged_bundle_that_was_changed_is_refused(home: Path, planted: str) -> None:
    name, change, error = PLANTED[planted]
    change(home / "package" / name)
    task: Any = "detection" if name == DETECT else "recognition"
    for use in (lambda: weights.resolve(name), lambda: weights.resolve_default(task)):
        with pytest.raises(error):
            use()
    with pytest.raises(error):
        Pipeline.from_models()


def test_a_bundle_added_to_the_package_is_not_arcids(home: Path) -> None:
    shutil.copytree(SHIPPED / FACE, home / "package" / "arcid-face-x")
    with pytest.raises(ModelHashMismatch, match="not what arcid ships"):
        weights.resolve("arcid-face-x")
    assert weights.resolve_default("detection").name == DETECT


def test_a_calibration_changed_after_the_bundle_was_opened(home: Path) -> None:
    bundle = weights.resolve(FACE)
    assert weights.find_calibration(bundle).smallest_supported_fmr > 0
    edit(home / "package" / FACE / "calibration.json", lower)
    with pytest.raises(CalibrationInvalid, match="is not the calibration"):
        weights.find_calibration(bundle)


def test_the_bytes_that_were_hashed_are_those_that_run(home: Path) -> None:
    bundle = weights.resolve(FACE)
    shutil.copy(SHIPPED / INT8 / "model.onnx", bundle.path)  # between looking and opening
    for runtime in RUNTIMES:
        with pytest.raises(ModelHashMismatch, match=r"model\.onnx has sha256"):
            open_session(bundle.path, runtime=runtime, sha256=bundle.manifest.sha256)  # type: ignore[arg-type]
    shutil.copy(SHIPPED / FACE / "model.onnx", bundle.path)
    shutil.copy(SHIPPED / DETECT / "model.onnx", home / "package" / DETECT / "points.onnx")
    with pytest.raises(ModelHashMismatch, match=r"points\.onnx"):
        Pipeline.from_models()


@pytest.mark.parametrize("nested", [False, True])
def test_weights_in_another_file_are_refused(tmp_path: Path, nested: bool) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((3, 3), np.float32), "w")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 3)) for n in "xy")
    if nested:
        node = helper.make_node("Constant", [], ["w"], value=weight)
        graph = helper.make_graph(
            [node, helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y]
        )
    else:
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weight]
        )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save_model(model, tmp_path / "whole.onnx")
    assert open_session(tmp_path / "whole.onnx").output_names == ("y",)
    onnx.save_model(
        model, tmp_path / "apart.onnx", save_as_external_data=True, location="w.bin",
        size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    assert (tmp_path / "w.bin").is_file()
    for runtime in RUNTIMES:
        with pytest.raises(ModelUnsupported, match="lie in another file"):
            open_session(tmp_path / "apart.onnx", runtime=runtime)  # type: ignore[arg-type]


# what is handed over


def test_a_bundle_is_unverified_until_accepted(home: Path) -> None:
    folder = own(home, float_sha256=None)
    assert weights.resolve("mine").trust == "unverified" and not weights.resolve("mine").vouched
    assert weights.resolve_default("recognition").name == FACE
    trust.accept("mine", folder)
    assert weights.resolve("mine").trust == "accepted" and weights.resolve("mine").vouched
    record = home / "home" / "accepted-models.json"
    assert record.stat().st_mode & 0o077 == 0
    moved = home / "elsewhere" / "mine"
    shutil.copytree(folder, moved)
    assert weights.resolve(str(moved)).trust == "accepted"  # it is the content that counts
    edit(folder / "calibration.json", lower)
    assert weights.resolve("mine").trust == "changed"
    shutil.copy(SHIPPED / FACE / "calibration.json", folder)
    edit(folder / "manifest.json", lambda m: m.update(description="new"))
    assert weights.resolve("mine").trust == "changed"
    assert trust.withdraw("mine") == 1
    assert weights.resolve("mine").trust == "unverified"
    record.write_text("[]", "utf-8")
    with pytest.raises(ManifestInvalid, match="accept your models again"):
        weights.resolve("mine")


def test_nobody_joins_the_vectors_of_a_model_by_saying_so(home: Path) -> None:
    """The int8's float_sha256 says that its vectors are those of the float model: a claim."""
    folder = own(home, "twin", INT8)
    assert weights.resolve("twin", judging=True).manifest.contract_id == CONTRACT
    for use in (
        lambda: weights.resolve("twin"),
        lambda: weights.resolve(str(folder)),
        lambda: Pipeline.from_models(None, "twin"),
    ):
        with pytest.raises(ModelUnverified, match="arcid models accept"):
            use()
    trust.accept("twin", folder)
    assert weights.resolve("twin").manifest.contract_id == CONTRACT
    edit(folder / "manifest.json", lambda m: m.update(description="new"))
    with pytest.raises(ModelUnverified, match="in this form"):
        weights.resolve("twin")


def test_a_catalogue_name_is_not_enough(home: Path, data_dir: Path) -> None:
    from arcid.models import catalogue

    name = "mobilefacenet_128"
    folder = home / "home" / "models" / name
    folder.mkdir(parents=True)
    shutil.copy(data_dir / "models" / f"{name}.onnx", folder)
    manifest = catalogue.entry(name).manifest
    manifest.save(folder / "manifest.json")
    assert weights.resolve(name).trust == "catalogue"
    edit(folder / "manifest.json", lambda m: m.update(provenance={"pulled": "x"}))
    assert weights.resolve(name).trust == "catalogue"
    edit(folder / "manifest.json", lambda m: m["input"].update(colour="BGR"))
    assert weights.resolve(name).trust == "unverified"
    manifest.save(folder / "manifest.json")
    (folder / "calibration.json").write_text("{}")
    assert weights.resolve(name).trust == "unverified"


def test_a_warning_says_how_to_accept(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    own(home, "warned", float_sha256=None)
    weights.resolve("warned")
    weights.resolve("warned")
    weights.resolve(FACE)
    assert [r.getMessage() for r in caplog.records if r.name == weights.log.name] == [
        "the model warned is unverified: nobody vouches for it yet; where you know where it comes "
        "from: arcid models accept warned"
    ]


# goldens at the start of the service


def test_a_service_does_not_start_on_models_that_answer_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arcid.server.opening import open_pipeline, warm
    from arcid.server.settings import Settings

    open_pipeline(Settings.load())
    pipeline = Pipeline.from_models()
    embed = pipeline.embedder.embed

    def swapped(crops: Any) -> Any:
        return embed(type(crops)(np.ascontiguousarray(crops.pixels[..., ::-1])))

    monkeypatch.setattr(pipeline.embedder, "embed", swapped)
    with pytest.raises(ModelUnsupported, match="answers otherwise"):
        warm(pipeline)
    monkeypatch.undo()


def test_goldens_of_a_bundle_of_ones_own_are_run_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arcid.server.opening import open_pipeline
    from arcid.server.settings import Settings

    folder = own(home, float_sha256=None)
    bundle = weights.resolve("mine")
    pipeline = Pipeline.from_models(None, "mine")
    goldens.write(folder, bundle.manifest, pipeline.embedder.embed)
    open_pipeline(Settings.load(recogniser="mine"))
    edit(folder / "goldens.json", lambda g: g["vectors"][0].reverse())
    with pytest.raises(ModelUnsupported, match="mine answers otherwise"):
        open_pipeline(Settings.load(recogniser="mine"))


# the command


def test_accepting_on_the_command_line(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from arcid.cli import app
    from arcid.cli.output import run_command

    def arcid(*argv: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run_command(app, argv)
        return code, *capfd.readouterr()

    monkeypatch.setenv("COLUMNS", "240")
    own(home, "twin", INT8)

    def row() -> Any:
        code, out, _ = arcid("models", "list", "--json")
        assert code == 0
        return next(r for r in json.loads(out)["installed"] if r["name"] == "twin")

    assert row()["trust"] == "unverified"
    code, out, _ = arcid("models", "list")
    assert code == 0 and "NO" in out and "yes: packaged" in out
    photo = home / "photo.jpg"
    photo.touch()  # looked for, but not opened, before the models
    code, _, err = arcid("embed", str(photo), "-o", str(home / "x.npz"), "--model", "twin")
    assert code == 4 and "arcid models accept twin" in err
    monkeypatch.setenv("ARCID_RECOGNISER", "twin")
    code, out, _ = arcid("doctor", "--json")
    assert code == 4 and "nobody vouches" in out
    monkeypatch.delenv("ARCID_RECOGNISER")
    code, out, _ = arcid("doctor", "--json")
    assert json.loads(out)["models"]["unverified"] == ["twin"]
    code, out, _ = arcid("models", "accept", "twin")
    assert code == 0 and "verified, loaded and run" in out and "--undo takes it back" in out
    assert row()["trust"] == "accepted"
    assert arcid("models", "accept", "twin", "--undo")[0] == 0
    assert row()["trust"] == "unverified"
    assert arcid("models", "accept", "twin", "--undo")[0] == 2
    code, out, _ = arcid("models", "accept", FACE)
    assert code == 0 and "vouched for already" in out
    (home / "home" / "models" / "twin" / "model.onnx").write_bytes(b"x")
    code, _, err = arcid("models", "accept", "twin")
    assert code == 4 and row()["trust"] == "unverified"
