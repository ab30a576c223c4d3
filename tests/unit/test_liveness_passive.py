"""The MiniFASNet pair, converted from its state dicts, on live and attack photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.errors import InvalidArray, ManifestInvalid, ModelNotFound, ModelUnsupported, UsageError
from arcid.image import load_image
from arcid.liveness import passive
from arcid.liveness.passive import Net, PassiveLiveness
from arcid.models import catalogue, weights
from arcid.models.manifest import Manifest
from arcid.pipeline import load_detector
from arcid.runtime import open_session
from arcid.types import Detections, Image

pytestmark = pytest.mark.data
PHOTOS = ("image_T1.jpg", "image_F1.jpg", "image_F2.jpg", "rgb_fake.jpg")
#: Measured with SCRFD 2.5G boxes: (V2, V1SE) probability of the live class.
EXPECTED = {
    "image_T1.jpg": (1.000, 1.000),
    "image_F1.jpg": (0.007, 0.457),
    "image_F2.jpg": (0.001, 0.003),
    "rgb_fake.jpg": (0.004, 0.000),
}


@pytest.fixture(scope="module")
def bundles(liveness_models: Path) -> Path:
    return liveness_models


@pytest.fixture(scope="module")
def pair(bundles: Path) -> PassiveLiveness:
    return passive.load([str(bundles / name) for name in passive.PAIR])


@pytest.fixture(scope="module")
def seen(data_dir: Path) -> dict[str, tuple[Image, Detections]]:
    detector = load_detector("scrfd_2.5g")
    images = {name: load_image(data_dir / "data/spoof" / name) for name in PHOTOS}
    return {n: (i, detector.detect([i])[0].select("largest")) for n, i in images.items()}


def test_what_the_script_writes_is_what_the_catalogue_says(bundles: Path) -> None:
    for name in passive.PAIR:
        made = Manifest.load(bundles / name / "manifest.json")
        known = catalogue.entry(name).manifest
        assert (made.task, made.family, made.template) == ("liveness", "minifasnet", "box")
        assert made.options == known.options
        for key in ("colour", "mean", "std", "size", "layout"):
            assert getattr(made.input, key) == getattr(known.input, key)
        assert made.provenance["max_abs_difference_to_torch"]["model"] < 1e-4
        assert name in weights.pullable()


def test_live_and_attack_photographs(pair: PassiveLiveness, seen: Any) -> None:
    for name, (image, found) in seen.items():
        single = pair.each([image], [found])[0][:, 0]
        assert single == pytest.approx(EXPECTED[name], abs=0.03), name
        (score,) = pair.scores(image, found)
        assert score == pytest.approx(single.mean(), abs=1e-6)
        assert (score >= pair.threshold) == (name == "image_T1.jpg")


def test_a_batch_answers_as_single_pictures_do(pair: PassiveLiveness, seen: Any) -> None:
    images, found = map(list, zip(*seen.values(), strict=True))
    nobody = Detections.empty(images[0].shape[:2])
    twice = Detections(
        np.repeat(found[1].boxes, 2, axis=0), np.repeat(found[1].scores, 2), None,
        found[1].image_size,
    )  # fmt: skip
    batch = pair.scores_batch([*images, images[0], images[1]], [*found, nobody, twice])
    assert [len(scores) for scores in batch] == [1, 1, 1, 1, 0, 2]
    for image, faces, scores in zip(images, found, batch, strict=False):
        assert scores == pytest.approx(pair.scores(image, faces), abs=1e-4)
    assert batch[5] == pytest.approx(np.repeat(batch[1], 2), abs=1e-4)


@pytest.mark.parametrize("wrong", ["channels swapped", "divided by 255", "another scale"])
def test_the_input_contract_matters(bundles: Path, seen: Any, wrong: str) -> None:
    """Scores of at least one photograph leave the measured ones by far."""
    import dataclasses

    nets = []
    for name in passive.PAIR:
        manifest = Manifest.load(bundles / name / "manifest.json")
        change: dict[str, Any] = {"input": manifest.input}
        if wrong == "channels swapped":
            change["input"] = dataclasses.replace(manifest.input, colour="RGB")
        elif wrong == "divided by 255":
            change["input"] = dataclasses.replace(manifest.input, std=(255.0,) * 3)
        else:
            change["options"] = {**manifest.options, "crop_scale": 1.0}
        nets.append(
            Net(
                open_session(bundles / name / manifest.file),
                dataclasses.replace(manifest, **change),
            )
        )
    other = PassiveLiveness(nets)
    moved = [
        np.abs(other.each([image], [found])[0][:, 0] - EXPECTED[name]).max()
        for name, (image, found) in seen.items()
    ]
    assert max(moved) > 0.3


def test_the_crop_keeps_inside_the_picture_without_padding() -> None:
    y, x = np.mgrid[:100, :200]
    image = np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)
    inside = passive.crop(image, [90, 40, 110, 60], 2.0, (40, 40))
    assert (inside[0, 0, :2], inside[-1, -1, :2]) == (
        pytest.approx([80, 30], abs=1), pytest.approx([120, 70], abs=1),
    )  # fmt: skip
    corner = passive.crop(image, [0, 0, 20, 20], 2.0, (40, 40))  # moved inward, same size
    assert (corner[0, 0, :2], corner[-1, -1, :2]) == (
        pytest.approx([0, 0], abs=1), pytest.approx([40, 40], abs=1),
    )  # fmt: skip
    far = passive.crop(image, [190, 90, 210, 110], 2.0, (40, 40))  # box half outside
    assert far[-1, -1, :2] == pytest.approx([199, 99], abs=1)
    assert far[0, 0, :2] == pytest.approx([159, 59], abs=1)
    whole = passive.crop(image, [80, 10, 120, 90], 2.7, (99, 49))  # scale shrinks to fit
    assert whole[0, 0, 1] <= 1 and whole[-1, 0, 1] >= 98
    assert whole[0, -1, 0] - whole[0, 0, 0] == pytest.approx(40 * 99 / 80, abs=2)


def test_what_does_not_belong_together_is_refused(
    pair: PassiveLiveness, seen: Any, bundles: Path
) -> None:
    image, found = seen["image_T1.jpg"]
    with pytest.raises(InvalidArray, match="belong to a picture of"):
        pair.scores(image[:-1], found)
    with pytest.raises(InvalidArray, match="1 pictures came with 2"):
        pair.scores_batch([image], [found, found])
    with pytest.raises(UsageError, match="between 0 and 1"):
        PassiveLiveness(pair.nets, threshold=1.0)
    with pytest.raises(UsageError, match="at least one"):
        PassiveLiveness([])
    with pytest.raises(ModelUnsupported, match="detection model"):
        passive.load(["scrfd_2.5g"])
    import dataclasses

    manifest = dataclasses.replace(pair.nets[0].manifest, options={})
    with pytest.raises(ManifestInvalid, match="crop_scale"):
        Net(pair.nets[0].session, manifest)


def test_a_missing_network_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path))
    with pytest.raises(ModelNotFound, match="arcid models pull minifasnet_v2"):
        passive.load()


# the command


def test_the_command_names_model_score_and_decision(
    cli: Callable[..., Any], bundles: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(bundles))
    monkeypatch.setenv("ARCID_DETECTOR", "scrfd_2.5g")
    spoof = data_dir / "data/spoof"
    live = cli("liveness", spoof / "image_T1.jpg", "--json")
    assert live.code == 0
    assert live.json["model"] == "minifasnet_v2+minifasnet_v1se"
    assert live.json["photos"][0]["faces"][0]["live"] is True
    both = cli("liveness", spoof / "image_T1.jpg", spoof / "image_F1.jpg", "--json")
    assert both.code == 1
    (fake,) = both.json["photos"][1]["faces"]
    assert fake["live"] is False and fake["score"] == pytest.approx(0.232, abs=0.02)
    assert set(fake["scores"]) == set(passive.PAIR)
    table = cli("liveness", spoof / "image_F1.jpg")
    assert table.code == 1 and "not live" in table.out and "minifasnet_v2 0.0" in table.out
    mild = cli("liveness", spoof / "image_F1.jpg", "--threshold", "0.2", "--json")
    assert mild.code == 0 and mild.json["photos"][0]["faces"][0]["live"] is True
    one = cli("liveness", spoof / "image_F1.jpg", "--model", "minifasnet_v1se", "--json")
    assert one.json["photos"][0]["faces"][0]["score"] == pytest.approx(0.457, abs=0.03)


def test_the_command_goes_on_past_photos_without_faces(
    cli: Callable[..., Any], bundles: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(bundles))
    nobody, live = data_dir / "data/photos/misc/no_face.png", data_dir / "data/spoof/image_T1.jpg"
    ran = cli("liveness", nobody, live, "--json")
    assert ran.code == 3
    first, second = ran.json["photos"]
    assert first["error"]["code"] == "no_face_found"
    assert second["faces"][0]["live"] is True
