"""From a run to a bundle of 68 landmarks: ``manifest.json``, ``model.onnx``, ``MODEL_CARD.md``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from arcid import files
from arcid.errors import ModelUnsupported
from arcid.evaluate.bootstrap import identity_weights, interval
from arcid.landmarks.points import Landmarks
from arcid.models import trust
from arcid.models.install import check_name, publish, require_place, staging
from arcid.models.manifest import InputSpec, Licence, Manifest
from arcid.models.weights import sha256_file
from arcid.train.detector.evaluate import point_error
from arcid.train.detector.export import history, write_points
from arcid.train.detector.job import INPUT
from arcid.train.detector.landmarks.job import points_session, restore_points
from arcid.train.detector.landmarks.network import PointNetwork
from arcid.train.detector.landmarks.views import cut
from arcid.train.detector.scenes import split
from arcid.types import Image

LICENCE = Licence(
    "Non-commercial research: labels of dlib's 68-point predictor, which iBUG 300-W's terms keep "
    "from commercial use; the photographs are research sets",
    "https://ibug.doc.ic.ac.uk/resources/300-W/",
    False,
)
DATA = (
    "aligned faces of CelebA, Families in the Wild, UTKFace, All-Age-Faces and SCUT-FBP5500, "
    "labelled where dlib's 68-point predictor and MediaPipe's mesh agree"
)
PARTS: tuple[Literal["eyes", "mouth"], ...] = ("eyes", "mouth")
FOLLOWS = 0.6  # of the labels' openness, at least: then challenges may ask for it
GROUPS = {
    "contour": slice(0, 17), "brows": slice(17, 27), "nose": slice(27, 36), "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}  # fmt: skip


def export_landmarks(
    run: Path, target: Path, *, name: str = "arcid-landmarks-s", replace: bool = False
) -> Path:
    """Write the bundle ``target/NAME`` from a run's averaged weights, measured on its reserved
    people. ``replace``: an older one of that name goes. Raises ``CheckpointInvalid``,
    ``ModelUnsupported`` where the file answers otherwise than torch or the run learned five
    points, ``MissingExtra``, ``UsageError``."""
    check_name(name)
    require_place(target / name, replace=replace)
    network, checkpoint = restore_points(run)
    config = checkpoint.config
    if config.network.points != 68:
        raise ModelUnsupported(
            "this run learned five points: they belong into a detector's bundle; "
            "arcid detector export --points"
        )
    reserved = split(config.scenes)[1]
    crops, wanted, people = cut(reserved, config)
    target.mkdir(parents=True, exist_ok=True)
    with staging(target) as staged:
        path = staged / "model.onnx"
        difference = write_points(network, path, list(crops[:8]))
        size = (config.network.side,) * 2
        facts = accuracy(network, crops, wanted, people)
        follows = all(facts[f"openness_{part}"][1] >= FOLLOWS for part in PARTS)
        manifest = Manifest(
            name=name,
            task="landmarks",
            family="arcid",
            sha256=sha256_file(path),
            input=InputSpec(INPUT.name, INPUT.colour, INPUT.mean, INPUT.std, size),
            licence=LICENCE,
            default=True,
            description="68 points of iBUG 300-W from an upright crop of a face.",
            training_data=DATA,
            source="arcid detector points",
            accuracy=facts,
            options={"openness": True} if follows else {},
            provenance=history(checkpoint, network, difference),
        )
        files.write_text(staged / "MODEL_CARD.md", _card(manifest, path.stat().st_size))
        made = publish(staged, manifest, target)
        trust.accept_own(name, made)
        return made


def accuracy(
    network: PointNetwork, crops: Image, wanted: npt.NDArray[np.float32], people: Sequence[str]
) -> dict[str, Any]:
    """Normalised mean error (distance over that of the eyes) in percent, with 95 % intervals over
    people, of all points and of each group; how many faces are off by 8 % and more; and how far
    openness follows the labels': the slope of a line through the faces, with its interval."""
    session = points_session(network)
    found = np.concatenate([
        session.run(INPUT.prepare(crops[i : i + 64]))["points"] for i in range(0, len(crops), 64)
    ]).reshape(wanted.shape)  # fmt: skip
    rows = {name: _percent(errors, people) for name, errors in {
        "all": point_error(found, wanted),
        **{group: _group(found, wanted, which) for group, which in GROUPS.items()},
    }.items()}  # fmt: skip
    return {
        "reserved_faces": len(crops),
        "reserved_people": len(set(people)),
        **{f"nme_{name}": row for name, row in rows.items()},
        **{f"openness_{part}": _slope(found, wanted, people, part) for part in PARTS},
        "failures_at_8_percent": round(float((point_error(found, wanted) > 0.08).mean()), 4),
    }


def _percent(errors: npt.NDArray[np.float32], people: Sequence[str]) -> list[float]:
    """The mean, and its 95 % interval over people."""
    low, high = interval(_shares(people) @ errors)
    return [round(100 * value, 2) for value in (float(errors.mean()), low, high)]


def _slope(
    found: npt.NDArray[Any],
    wanted: npt.NDArray[np.float32],
    people: Sequence[str],
    part: Literal["eyes", "mouth"],
) -> list[float]:
    """Of the network's openness on the labels', and its 95 % interval over people."""
    own, label = (Landmarks(points).openness(part).astype(float) for points in (found, wanted))
    slopes = []
    for weights in (np.full((1, len(own)), 1 / len(own)), _shares(people)):
        x, y = weights @ label, weights @ own
        spread = weights @ label**2 - x**2
        slopes.append((weights @ (label * own) - x * y) / np.maximum(spread, 1e-12))
    low, high = interval(slopes[1])
    return [round(float(value), 2) for value in (slopes[0][0], low, high)]


def _shares(people: Sequence[str]) -> npt.NDArray[np.float64]:
    """(R,N) what each face counts for in each replicate that draws people anew."""
    names = {name: row for row, name in enumerate(dict.fromkeys(people))}
    weights = identity_weights(len(names))[:, [names[name] for name in people]]
    shares: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _group(
    found: npt.NDArray[Any], wanted: npt.NDArray[np.float32], which: slice
) -> npt.NDArray[np.float32]:
    moved = wanted.copy()
    moved[:, which] = found[:, which]
    error: npt.NDArray[np.float32] = point_error(moved, wanted) * 68 / (which.stop - which.start)
    return error


def _card(manifest: Manifest, size: int) -> str:
    facts, made = manifest.accuracy, manifest.provenance
    rows = "\n".join(
        f"| {name} | {facts[f'nme_{name}'][0]:.2f} % "
        f"({facts[f'nme_{name}'][1]:.2f} to {facts[f'nme_{name}'][2]:.2f}) |"
        for name in ("all", *GROUPS)
    )
    opening = ", ".join(
        "{} {:.2f} ({:.2f} to {:.2f})".format(part, *facts[f"openness_{part}"]) for part in PARTS
    )
    return f"""# {manifest.name}

Finds 68 points (contour, brows, nose, eyes, mouth, as iBUG 300-W numbers them) in an upright crop
of a face, cut by a detector's box and five points.

| | |
|---|---|
| file | {size / 1e6:.2f} MB, {made["parameters"]:,} parameters, sha256 `{manifest.sha256}` |
| trained | {made["pictures"]:,} crops in {made["steps"]:,} steps, {made["minutes"]} minutes |
| of these, another's | the refiner of five points in arcid-detect-s, which it was started from |
| data | {manifest.training_data} |

## Terms

Licence of the weights: {manifest.licence.name}.
Commercial use: not allowed. dlib's predictor was trained on iBUG 300-W, whose terms exclude
commercial use, and what learned from its answers is treated as bound by them; MediaPipe's mesh is
under Apache-2.0.

## Intended use

Pose of the head, openness of eyes and mouth, the outline of the face. Not for telling emotions, for
drawings, or for any decision about a person by itself.

## Measured accuracy

Distance to the labels over the distance of the eyes, on {facts["reserved_faces"]:,} faces of
{facts["reserved_people"]} people of CelebA who were kept out of training; 95 % intervals over
people. Labels are the middle of two detectors, of eyes and inner lips dlib's, of faces on which
both agree: what both get wrong, and faces they dispute, do not show. Nobody marked points by hand.

| points | normalised mean error |
|---|---|
{rows}

Faces off by more than 8 %: {facts["failures_at_8_percent"]:.1%}.

Openness, the slope of a line through the faces, 1 where it follows the labels as far, 0 where it is
always the same: {opening}.

## Where it fails

- Faces turned by more than about 45°, hidden or outside the crop: the contour first.
- Faces below about 30 px: openness of eyes is then noise.
- Not measured here: groups of age, skin tone and sex; masks and sunglasses by themselves.
"""


__all__ = ["accuracy", "export_landmarks"]
