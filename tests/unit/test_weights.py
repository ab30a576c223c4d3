"""From a name to verified files: order of places, hashes, and errors that say what to do."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from arcid.errors import CalibrationMissing, ManifestInvalid, ModelHashMismatch, ModelNotFound
from arcid.models import calibrations, catalogue, trust, weights
from arcid.models.manifest import Manifest

NAME = "mobilefacenet_128"
SPEC = catalogue.entry(NAME).manifest.to_dict()["input"]
FREE = "face-reidentification-retail-0095"  # the smallest that may be used commercially


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No model anywhere but what the test puts there."""
    for variable, folder in (("ARCID_MODELS", "models"), ("ARCID_DATA", "data")):
        (tmp_path / folder / "models").mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setattr("arcid.paths.packaged_models_dir", lambda: tmp_path / "packaged")
    for variable in ("ARCID_DETECTOR", "ARCID_RECOGNISER"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def _bundle(root: Path, source: Path, name: str = NAME, **changes: object) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    shutil.copy(source, folder / "model.onnx")
    manifest = catalogue.entry(NAME).manifest.to_dict() | {"file": "model.onnx", **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return folder


@pytest.fixture
def model_file(data_dir: Path) -> Path:
    return data_dir / "models" / "mobilefacenet_128.onnx"


def test_a_missing_model_names_file_and_command(empty: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"mobilefacenet_128\.onnx was looked for in .*models"):
        weights.resolve(NAME)
    with pytest.raises(
        ModelNotFound, match=f"models pull {FREE}, then set ARCID_RECOGNISER={FREE}"
    ):
        weights.resolve(NAME)
    with pytest.raises(ModelNotFound, match="arcid models pull w600k_r50"):
        weights.resolve("w600k_r50")
    with pytest.raises(ModelNotFound, match=r"scripts/convert_weights\.py --only mtcnn"):
        weights.resolve("mtcnn")
    with pytest.raises(ModelNotFound, match="no model is called 'nonsense'"):
        weights.resolve("nonsense")


@pytest.mark.data
def test_places_in_order(empty: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(model_file, empty / "data" / "models")
    assert weights.resolve(NAME).origin == "data"
    _bundle(empty / "models", model_file)
    assert weights.resolve(NAME).origin == "models"
    folder = _bundle(empty / "packaged", model_file)
    monkeypatch.setitem(trust.PACKAGED, NAME, trust.digest(folder))
    assert weights.resolve(NAME).origin == "packaged"
    for place in ("packaged", "models"):
        shutil.rmtree(empty / place / NAME)
    monkeypatch.delenv("ARCID_DATA")  # nothing beside the folder one stands in, then
    monkeypatch.chdir(empty / "models")
    (empty / "shared").symlink_to(empty / "data")
    with pytest.raises(ModelNotFound, match="is not installed"):
        weights.resolve(NAME)


@pytest.mark.data
def test_a_packaged_bundle_marked_so_is_the_default(
    empty: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(model_file, empty / "data" / "models")
    ours = _bundle(empty / "packaged", model_file, "ours")
    with pytest.raises(ModelNotFound, match="choose one with ARCID_RECOGNISER"):
        weights.resolve_default("recognition")
    int8 = _bundle(empty / "packaged", model_file, "ours-int8", precision="int8", default=True)
    for folder in (ours, int8):
        monkeypatch.setitem(trust.PACKAGED, folder.name, trust.digest(folder))
    assert weights.resolve_default("recognition").name == "ours-int8"
    monkeypatch.setenv("ARCID_RECOGNISER", "ours")
    assert weights.resolve_default("recognition").name == "ours"


@pytest.mark.data
def test_two_defaults_are_an_error(empty: Path, model_file: Path) -> None:
    _bundle(empty / "packaged", model_file, "a", default=True)
    _bundle(empty / "packaged", model_file, "b", default=True)
    with pytest.raises(ManifestInvalid, match="a, b"):
        weights.resolve_default("recognition")


@pytest.mark.data
def test_a_changed_byte_is_found(empty: Path, model_file: Path) -> None:
    data = bytearray(model_file.read_bytes())
    data[1000] ^= 1
    (empty / "data" / "models" / model_file.name).write_bytes(data)
    with pytest.raises(ModelHashMismatch, match="damaged or another version"):
        weights.resolve(NAME)


@pytest.mark.data
def test_a_path_to_a_known_file_and_to_a_bundle(empty: Path, model_file: Path) -> None:
    odd = empty / "renamed.onnx"
    shutil.copy(model_file, odd)
    assert weights.resolve(str(odd)).name == NAME
    folder = _bundle(empty / "elsewhere", model_file)
    assert weights.resolve(str(folder)).origin == "path"
    assert weights.resolve(folder).origin == weights.resolve(odd).origin == "path"
    stranger = empty / "stranger.onnx"
    stranger.write_bytes(b"not a model")
    with pytest.raises(ModelNotFound, match="arcid models import"):
        weights.resolve(str(stranger))


def test_a_path_is_never_a_name(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (empty / "nonsense", Path("nonsense")):
        with pytest.raises(ModelNotFound, match="no bundle and no model file at"):
            weights.resolve(path)
    monkeypatch.setattr("os.sep", "\\")  # as on Windows, where both part folders
    monkeypatch.setattr("os.altsep", "/")
    for name in ("models/mine", "models\\mine"):
        with pytest.raises(ModelNotFound, match="no bundle and no model file at"):
            weights.resolve(name)


@pytest.mark.data
def test_calibration_of_the_user_comes_first(empty: Path, model_file: Path) -> None:
    shutil.copy(model_file, empty / "data" / "models")
    bundle = weights.resolve(NAME)
    packaged = weights.find_calibration(bundle)
    own = calibrations.in_force(packaged.contract_id)
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps({**packaged.data, "notes": "mine"}), "utf-8")
    assert weights.find_calibration(bundle).data["notes"] == "mine"


@pytest.mark.data
def test_no_calibration_no_threshold(empty: Path, model_file: Path) -> None:
    _bundle(empty / "models", model_file, "uncalibrated", flip=True)
    with pytest.raises(CalibrationMissing, match="arcid calibrate"):
        weights.find_calibration(weights.resolve("uncalibrated"))


def test_contract_id_covers_what_changes_a_vector() -> None:
    base = catalogue.entry(NAME).manifest.to_dict()

    def contract(**changes: object) -> str:
        return Manifest.from_dict({**base, **changes}).contract_id

    same = {"name": "x", "description": "y", "provenance": {"runtime": "z"}, "file": "other.onnx"}
    assert contract(**same) == contract()
    different = [
        {"sha256": "0" * 64},
        {"input": {**base["input"], "colour": "BGR"}},
        {"input": {**base["input"], "std": [127.5] * 3}},
        {"input": {**base["input"], "size": [96, 96]}},
        {"template": "box"},
        {"flip": True},
        {"output": {"name": "embeddings", "dim": 64}},
    ]
    ids = {contract(**change) for change in different}
    assert len(ids) == len(different)
    assert contract() not in ids
    # a quantised file may share the float model's contract, by saying so
    assert contract(sha256="1" * 64, float_sha256=base["sha256"], precision="int8") == contract()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "unknown keys"),
        ({"task": "poetry"}, "task 'poetry'"),
        ({"input": {"name": "x"}}, "missing"),
        ({"schema_version": 2}, "schema_version 2"),
        ({"sha256": "abc"}, "sha256"),
        ({"file": "../model.onnx"}, "plain name"),
        ({"output": None}, "needs an output"),
        ({"file": ""}, "plain name"),
        ({"name": 5}, "name must be str"),
        ({"flip": "no"}, "flip must be bool"),
        ({"sha256": ["a"] * 64}, "sha256 must be str"),
        ({"options": [1]}, "options must be Mapping"),
        ({"output": {"name": None, "dim": "x"}}, "output: dim must be int"),
        ({"input": SPEC | {"mean": "abc"}}, "input: mean must be tuple"),
        ({"input": SPEC | {"std": [1, 1, math.nan]}}, "input: std must be tuple"),
        ({"input": SPEC | {"mean": [0, 0, 10**400]}}, "input: mean must be tuple"),
        ({"input": SPEC | {"size": 112}}, "input: size must be tuple"),
        ({"input": SPEC | {"size": [112, 112.5]}}, "input: size must be tuple"),
        ({"input": SPEC | {"colour": 3}}, "input: colour must be Literal"),
    ],
)
def test_a_wrong_manifest_is_explained(change: dict[str, object], message: str) -> None:
    base = catalogue.entry(NAME).manifest.to_dict()
    with pytest.raises(ManifestInvalid, match=message):
        Manifest.from_dict({**base, **change})


def test_a_manifest_without_end_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text("[" * 100_000, "utf-8")
    with pytest.raises(ManifestInvalid, match="cannot be read as JSON"):
        Manifest.load(path)


@pytest.mark.parametrize("name", ["~no-such-user/x", "x" * 300, "a+" + "x" * 300, "a/" + "x" * 300])
def test_a_name_that_no_file_can_have(name: str, empty: Path) -> None:
    with pytest.raises(ModelNotFound):
        weights.resolve(name)


@pytest.mark.data
def test_members_whose_folders_have_one_name_are_all_in(empty: Path, model_file: Path) -> None:
    folders = [_bundle(empty / place, model_file, "m", flip=place == "b") for place in "ab"]
    found = weights.resolve("+".join(map(str, folders)))
    assert [member.folder for member in found.members] == folders
    assert found.manifest.output is not None
    assert found.manifest.output.dim == 256


def test_the_catalogue_is_sound() -> None:
    for name, entry in catalogue.ENTRIES.items():
        assert entry.name == name == entry.manifest.name
        assert all(len(f.sha256) == 64 for f in entry.files)
        assert all(f.url is None or f.url.startswith("https://") for f in entry.files)
        if entry.calibration:
            assert (weights.CALIBRATIONS / entry.calibration).is_file()
        if entry.manifest.task == "recognition":
            assert entry.manifest.contract_id
    for pack in catalogue.PACKS.values():
        assert set(pack.models) <= set(catalogue.ENTRIES)
        assert pack.licence.commercial_use is False
