"""68 landmarks: what they cost, and how far a pose taken from them can be trusted.

    python benchmarks/landmarks.py [--model NAME] [-o FILE.csv]
    python benchmarks/landmarks.py --openness [--every 12]
    python benchmarks/landmarks.py --film FILE.mp4

Time: a face through the model, beside the default recogniser in turns. Pose: nobody measured the
heads of lfw-dev, so what is known is asked: a photo turned by 20° must turn the roll by 20° and
leave yaw and pitch, a mirrored one must change the sign of yaw and leave the pitch. Errors of the
five points' pose and of the 68 points' stand side by side, with 95 % intervals over photos.

Openness, beside dlib's predictor (``dlib_68``), which follows eyelids and lips: the slope of a line
through the photos, 1 where the model follows them as far, 0 where it answers the same always.

Film: medians of yaw by 68 points, by what five points say; every fifth frame of it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from arcid.bench.common import Row, compared, hardware, interleaved, lines, row, write_csv
from arcid.evaluate.bootstrap import identity_weights, interval
from arcid.geometry import rotated_size, rotation_matrix
from arcid.image import load_image
from arcid.landmarks.pose import head_pose
from arcid.pipeline import Pipeline, load_landmarks
from arcid.quality import pose
from arcid.types import Image

TURN_DEG = 20.0
PARTS: tuple[Literal["eyes", "mouth"], ...] = ("eyes", "mouth")
Array = npt.NDArray[np.float64]


def turned(photo: Image) -> Image:
    """The photo turned counter-clockwise by TURN_DEG on a canvas that holds all of it."""
    import cv2

    height, width = photo.shape[:2]
    size = rotated_size(height, width, TURN_DEG)
    matrix = rotation_matrix(height, width, TURN_DEG)
    return np.asarray(cv2.warpAffine(photo, matrix, size[::-1]), np.uint8)


def poses(pipeline: Pipeline, photo: Image) -> Array | None:
    """(2,3): yaw, pitch, roll of the largest face by five points and by 68; None without a face."""
    found = pipeline.detect(photo).select("largest")
    if not len(found) or found.points is None or pipeline.landmarks is None:
        return None
    marks = pipeline.landmarks.find(photo, found)
    return np.stack([pose(found.points)[0], head_pose(marks, found.image_size)[0]])


def wrong(pipeline: Pipeline, photos: list[Path]) -> tuple[dict[str, Array], int]:
    """What should be zero, (N,2) degrees by five points and by 68, and photos without all three."""
    rows: dict[str, list[Array]] = {
        name: [] for name in ("roll after a turn", "yaw after a turn", "pitch after a turn",
                              "yaw in the mirror", "pitch in the mirror")
    }  # fmt: skip
    lost = 0
    for path in photos:
        photo = load_image(path)
        views = (photo, turned(photo), np.ascontiguousarray(photo[:, ::-1]))
        seen = [poses(pipeline, view) for view in views]
        if any(one is None for one in seen):
            lost += 1
            continue
        plain, after, mirror = (one for one in seen if one is not None)
        rows["roll after a turn"].append(after[:, 2] - plain[:, 2] + TURN_DEG)
        rows["yaw after a turn"].append(after[:, 0] - plain[:, 0])
        rows["pitch after a turn"].append(after[:, 1] - plain[:, 1])
        rows["yaw in the mirror"].append(mirror[:, 0] + plain[:, 0])
        rows["pitch in the mirror"].append(mirror[:, 1] - plain[:, 1])
    return {name: np.abs(np.array(values)) for name, values in rows.items()}, lost


def told(pipeline: Pipeline, photos: list[Path]) -> list[Row]:
    """Mean errors with intervals, and the paired difference of both."""
    rows = []
    errors, lost = wrong(pipeline, photos)
    for name, found in errors.items():
        weights = identity_weights(len(found)) / len(found)
        for column, form in enumerate(("five points", "68 points")):
            low, high = interval(weights @ found[:, column])
            rows.append(row(name, form, found[:, column].mean(), "°", samples=len(found),
                            notes=f"{low:.2f} to {high:.2f}, {lost} photos without"))  # fmt: skip
        low, high = interval(weights @ (found[:, 1] - found[:, 0]))
        rows.append(row(name, "68 less five", (found[:, 1] - found[:, 0]).mean(), "°",
                        samples=len(found), notes=f"{low:.2f} to {high:.2f}, paired"))  # fmt: skip
    return rows


def openness(pipeline: Pipeline, photos: list[Path]) -> list[Row]:
    """Slopes of the model's openness of eyes and mouth on dlib's, with intervals over photos."""
    peer = load_landmarks("dlib_68")
    assert pipeline.landmarks is not None
    finders = (peer, pipeline.landmarks)
    values = []
    for path in photos:
        photo = load_image(path)
        found = pipeline.detect(photo).select("largest")
        if len(found):
            marks = [finder.find(photo, found) for finder in finders]
            values.append([[float(one.openness(what)[0]) for one in marks] for what in PARTS])
    rows, weights = [], identity_weights(len(values)) / len(values)
    for what, (theirs, ours) in zip(PARTS, np.array(values).transpose(1, 2, 0), strict=True):
        x, y = weights @ theirs, weights @ ours
        slopes = (weights @ (theirs * ours) - x * y) / (weights @ theirs**2 - x**2)
        low, high = interval(slopes)
        slope = float(np.polyfit(theirs, ours, 1)[0])
        about = f"{low:.2f} to {high:.2f}, correlation {np.corrcoef(theirs, ours)[0, 1]:.2f}"
        rows.append(row(f"openness of the {what}", "slope on dlib_68", slope, "",
                        samples=len(values), notes=about))  # fmt: skip
    return rows


def turned_on_film(pipeline: Pipeline, film: Path) -> list[Row]:
    """Median yaw by 68 points of faces that five points say are turned so far."""
    import cv2

    assert pipeline.landmarks is not None
    found, frames = [], cv2.VideoCapture(str(film))
    while frames.grab():
        if int(frames.get(cv2.CAP_PROP_POS_FRAMES)) % 5 != 1:
            continue
        photo = np.ascontiguousarray(np.asarray(frames.retrieve()[1], np.uint8)[..., ::-1])
        faces = pipeline.detect(photo, second_try=False)
        if len(faces) and faces.points is not None:
            marks = pipeline.landmarks.find(photo, faces)
            both = (pose(faces.points)[:, 0], head_pose(marks, faces.image_size)[:, 0])
            found.append(np.abs(np.stack(both, axis=1)))
    five, many = np.concatenate(found).T
    rows = []
    for low, high in ((0, 15), (15, 30), (30, 45), (45, 90)):
        of = (five >= low) & (five < high)
        weights = identity_weights(int(of.sum()), 400)
        medians = [np.median(np.repeat(many[of], counts.astype(int))) for counts in weights]
        about = "{:.1f} to {:.1f}".format(*interval(np.array(medians)))
        rows.append(row(f"turned by {low}–{high}°", "yaw by 68 points", float(np.median(many[of])),
                        "°", samples=int(of.sum()), notes=about))  # fmt: skip
    return rows


def cost(pipeline: Pipeline, photo: Image) -> list[Row]:
    """Milliseconds a face, warp included, beside the recogniser's."""
    found = pipeline.detect(photo).select("largest")
    crops, marks = pipeline.align(photo, found), pipeline.landmarks
    assert marks is not None
    forms = {
        "landmarks": lambda: marks.find(photo, found),
        "recogniser": lambda: pipeline.embedder.embed(crops),
    }
    return compared("a face", interleaved(forms, rounds=9, calls=20), "recogniser")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--openness", action="store_true")
    parser.add_argument("--film", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    pipeline = Pipeline.from_models()
    pipeline.landmarks = load_landmarks(given.model)
    data = Path(os.environ.get("ARCID_DATA", "../shared"))
    photos = sorted((data / "data/lfw-dev/images").rglob("*.jpg"))[:: given.every]
    if given.openness:
        rows = openness(pipeline, photos)
    elif given.film:
        rows = turned_on_film(pipeline, given.film)
    else:
        rows = [*cost(pipeline, load_image(photos[0])), *told(pipeline, photos)]
    print(*lines(rows), sep="\n")
    print(hardware(), f"load {os.getloadavg()[0]:.1f}")
    if given.output:
        write_csv(given.output, rows)


if __name__ == "__main__":
    main()
