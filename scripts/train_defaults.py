"""Train the models that ship, from photographs to bundles: one command, nothing to add by hand.

    python scripts/train_defaults.py [--out runs/defaults] [--smoke] [--only recogniser|detector]

Steps, each skipped where its result is there, each going on where it was stopped:

    label    faces SCRFD and YuNet agree on in the scenes, and in the crops
    stages   configs/face_s_1.yaml: every stage of the student fed a teacher's maps
    whole    configs/face_s_2.yaml: the stages joined, trained end to end towards four teachers
    longer   configs/face_s_3.yaml: the same again
    larger   configs/face_s_4.yaml: and again, in larger batches
    vector   configs/face_s_5.yaml: the last layer alone, whom each face is near among many
    face     export, measured on LFW DevTest; the same in 8 bits
    parts    configs/detect_s_1.yaml: every part of the detector fed YuNet's maps
    detect   configs/detect_s_2.yaml: the parts joined, trained on the labels
    bigger   configs/detect_s_3.yaml: larger faces, for the five points
    harder   configs/detect_s_4.yaml: small and half hidden faces
    written  configs/detect_s_5.yaml: writing, more crowds, more pictures without faces
    points   configs/detect_points.yaml: landmark refinement, from a crop of each face
    export   the detector, measured on all reserved pictures
    scores   what the recognisers' scores mean behind that detector

The bundles are in OUT/models. Budgets are those of the
recipes, hours on two cores; ``--smoke`` takes a few minutes on few pictures, to see that every step
works: its models are not for use.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from arcid import files

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FACE, QUANTISED, DETECTOR = "arcid-face-s", "arcid-face-s-int8", "arcid-detect-s"
THRESHOLD = 0.6  # of the detector; at 0.5 it finds three things that are no faces in 517 photos
LICENCE = "Research only: the training photographs are research sets"
TRAINING_DATA = (
    "Aligned crops of VGGFace2, CelebA, Families in the Wild, UTKFace, All-Age-Faces, SCUT-FBP5500,"
    " UK parliament portraits, South Asian faces and Bollywood celebrities: research sets, some of"
    " them non-commercial. Teachers: EdgeFace XS and XXS, face-reidentification-retail-0095, a"
    " MobileFaceNet of esp-dl"
)
HELD_OUT = ("held_out_select.txt", "held_out_calibrate.txt")
SMOKE_FACE = [
    "data.sources=[{path: runs/some.tar, labelled: false}]", "data.leave_out=[]",
    "schedule.minutes=0",
]  # fmt: skip
SMOKE_STEPS = {
    "face_s_1": ["schedule.steps=90", "schedule.warmup=3"],
    "face_s_2": ["schedule.steps=30", "schedule.warmup=3", "optim.ema=0.9"],
    "face_s_3": ["schedule.steps=10", "schedule.warmup=2", "optim.lr=1e-4", "optim.ema=0.9"],
    "face_s_4": ["schedule.steps=5", "schedule.warmup=2", "optim.lr=1e-4", "optim.ema=0.9"],
    "face_s_5": ["schedule.epochs=0", "schedule.steps=5", "data.batch=32"],
}
CROPS = ("vgg", "celeba-a", "celeba-b", "utk", "utk-b", "ukmp")  # further faces for the detector
SMOKE_POINTS = [
    "schedule.steps=40", "schedule.minutes=0", "schedule.warmup=2", "scenes.path=runs/scenes.tar",
    "optim.ema=0.9", "scenes.further=[{path: runs/some.tar, labels: runs/detect_some.jsonl}]",
]  # fmt: skip
SMOKE_DETECT = [
    "schedule.minutes=0", "schedule.warmup=2", "scenes.path=runs/scenes.tar",
    "views.sizes=[128]", "optim.ema=0.9", "validation.pictures=20",
]  # fmt: skip


def step(result: Path, *arguments: object) -> None:
    """One ``arcid`` command in the folder of the runs, unless its file is there.

    Trainings are started whatever is there: a finished one ends at once.
    """
    if result.is_file():
        print(f"{result} is there", flush=True)
        return
    words = [str(word) for word in arguments]
    print("arcid " + " ".join(words), flush=True)
    ended = subprocess.run([sys.executable, "-m", "arcid", *words], check=False).returncode
    if ended or not result.exists():
        raise SystemExit(f"stopped (exit {ended}); what is done is kept, start again to go on")


def some(archive: Path, out: Path, every: int) -> None:
    """One in ``every`` files of a tar, as a tar."""
    if out.exists():
        return
    with (
        tarfile.open(archive) as source,
        files.replacing(out) as stream,
        tarfile.open(fileobj=stream, mode="w") as small,
    ):
        members = [member for member in source.getmembers() if member.isfile()]
        for member in members[::every]:
            small.addfile(member, source.extractfile(member))


def devtest(data: Path, out: Path) -> None:
    """The faces of the DevTest photos on the template, one folder a person: for measuring only."""
    import cv2
    import numpy as np

    from arcid.evaluate.readers import read_lfw
    from arcid.pipeline import Pipeline

    if out.exists():
        return
    pipeline = Pipeline.from_models("scrfd_2.5g", "mobilefacenet_128")
    photos = read_lfw(data / "lfw-dev/pairsDevTest.txt", data / "lfw-dev/images").photos
    for photo in photos:
        source = Path(str(photo.source))
        crop = pipeline.prepare(source, select="center").crops.pixels[0]
        person = out.with_name("part") / source.stem.rpartition("_")[0]
        person.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(person / f"{source.stem}.png"), np.ascontiguousarray(crop[..., ::-1]))
    files.move(out.with_name("part"), out)


def recogniser(data: Path, smoke: bool) -> None:
    for name, steps in SMOKE_STEPS.items():
        finished = Path("runs") / name
        step(
            finished, "distill", CONFIGS / f"{name}.yaml",
            *([*SMOKE_FACE, *steps] if smoke else []),
        )  # fmt: skip
    described = (
        "--description",
        (
            "256-d MobileFaceNet (ReLU6, flat end), distilled stage by stage "
            "(configs/face_s_1.yaml), then end to end towards four teachers "
            "(configs/face_s_2.yaml to face_s_4.yaml), the last layer by whom they find near "
            "(configs/face_s_5.yaml)."
        ),
    )
    measured: tuple[object, ...] = ()
    if not smoke:
        devtest(data, Path("runs/lfw-devtest"))
        measured = ("--evaluate", "runs/lfw-devtest")
    bundle = Path("models") / FACE
    step(
        bundle / "manifest.json", "export", finished, "--out", "models", "--name", FACE,
        "--precision", "fp16", *measured, "--licence", LICENCE, "--no-commercial",
        "--training-data", TRAINING_DATA, *described,
    )  # fmt: skip
    if not smoke:
        step(
            Path("models") / QUANTISED / "manifest.json", "export", finished,
            "--out", "models", "--name", QUANTISED, "--precision", "int8",
            "--calibration", data / "train/vgg.tar", *measured, "--licence", LICENCE,
            "--no-commercial", "--training-data", TRAINING_DATA,
            "--description", f"{FACE} quantised: weights and activations in 8 bits.",
        )  # fmt: skip


def calibrations(data: Path) -> None:
    """What the recognisers' scores mean behind the detector."""
    for name in (FACE, QUANTISED):
        bundle = Path("models") / name
        step(
            bundle / "calibration.json", "calibrate", data / "lfw-dev/images", "--model", bundle,
            "--detector", Path("models") / DETECTOR, "--dataset",
            "LFW View 1 DevTest photographs", "--provisional", "-o", bundle / "calibration.json",
        )  # fmt: skip


def detector(data: Path, smoke: bool) -> None:
    crops = [Path("runs/some.tar")] if smoke else [data / f"train/{name}.tar" for name in CROPS]
    for archive in crops:
        labels = Path(f"runs/detect_{archive.stem}.jsonl")
        step(labels, "detector", "label", "--out", labels, "--scenes", archive, "--tile", "")
    few = [*SMOKE_DETECT, "schedule.steps=40"] if smoke else []
    step(Path("runs/detect_s_1"), "detector", "train", CONFIGS / "detect_s_1.yaml", *few)
    if smoke:
        further = "scenes.further=[{path: runs/some.tar, labels: runs/detect_some.jsonl}]"
        few = [*SMOKE_DETECT, "schedule.steps=10", further]
    for name in ("detect_s_2", "detect_s_3", "detect_s_4", "detect_s_5"):
        run = Path("runs") / name
        step(run, "detector", "train", CONFIGS / f"{name}.yaml", *few)
    points = Path("runs/detect_points")
    settings = SMOKE_POINTS if smoke else []
    step(points, "detector", "points", CONFIGS / "detect_points.yaml", *settings)
    bundle = Path("models") / DETECTOR
    step(
        bundle / "manifest.json", "detector", "export", run, "--points", points, "--to", "models",
        "--threshold", THRESHOLD,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/defaults"))
    parser.add_argument("--smoke", action="store_true", help="few pictures, a few minutes")
    parser.add_argument("--only", choices=["recogniser", "detector"])
    options = parser.parse_args()
    root = Path(os.environ.setdefault("ARCID_DATA", "../shared")).resolve()
    if not (root / "data").is_dir():
        raise SystemExit(f"ARCID_DATA ({root}) has no folder data; it holds what is trained on")
    os.environ["ARCID_DATA"] = str(root)
    if "ARCID_FACES" not in os.environ and not options.smoke and options.only != "detector":
        raise SystemExit("set ARCID_FACES to the folder of further faces; see training-data.md")
    data = root / "data"
    options.out.mkdir(parents=True, exist_ok=True)
    os.chdir(options.out)
    Path("runs").mkdir(exist_ok=True)
    scenes = data / "scenes.tar"
    if options.smoke:
        some(scenes, Path("runs/scenes.tar"), 40)
        some(data / "train/utk.tar", Path("runs/some.tar"), 60)
        scenes = Path("runs/scenes.tar")
    labels = Path("runs/detect_labels.jsonl")
    step(labels, "detector", "label", "--out", labels, "--scenes", scenes)
    if options.only != "detector":
        for name in HELD_OUT:
            shutil.copyfile(CONFIGS / name, name)
        recogniser(data, options.smoke)
    if options.only != "recogniser":
        detector(data, options.smoke)
    if not options.only and not options.smoke:
        calibrations(data)
    print(f"the bundles are in {Path('models').resolve()}")


if __name__ == "__main__":
    main()
