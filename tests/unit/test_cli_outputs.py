"""Whatever a command was told to write to is as it was where it has nothing to put there."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from arcid.cli import app

FLAGS = ("--output", "--out", "--to", "--crops", "--review", "--save-embeddings")
#: Whose --output is one of the network or opens a door, and whose --to is a model.
NOT_FILES = {"models import", "gallery reembed", "gallery rotate-key", "access door add"}
#: What fails, by command; OUT is the output, NONE photos without faces, BAD files that are no
#: pictures, EMPTY an empty file.
FAILING: dict[str, list[tuple[str, ...]]] = {
    "detect": [("BAD", "--crops", "OUT"), ("NONE/1.png", "--crops", "OUT")],
    "align": [
        ("PEOPLE", "OUT"),
        ("PEOPLE", "OUT/keep.tar"),
        ("PEOPLE", "OUT/keep.json"),
        ("NONE", "OUT/new"),
        ("BAD", "OUT/new"),
        ("PEOPLE", "OUT/new", "--shards", "3", "--detector", "none_such"),
    ],
    "embed": [
        ("NONE", "-o", "OUT/keep.npz"),
        ("NONE/1.png", "-o", "OUT/keep.npz"),
        ("BAD", "-o", "OUT/keep.npz"),
        ("NONE/1.png", "FACE", "-o", "OUT/keep.npy"),
        ("FACE", "-o", "OUT/keep.npz", "--model", "none_such"),
        ("FACE", "-o", "OUT/keep.txt"),
    ],
    "calibrate": [
        ("PEOPLE", "-o", "OUT/keep.json"),
        ("PEOPLE", "--review", "OUT"),
        ("BAD", "-o", "OUT/keep.json"),
    ],
    "bench": [("--only", "none_such", "-o", "OUT/keep.csv")],
    "compare": [("BAD", "EMPTY", "-o", "OUT")],
    "duplicates export": [
        ("--collection", "none_such", "-o", "OUT/keep.csv"),
        ("--collection", "none_such", "-o", "OUT/keep.txt"),
    ],
    "people export": [
        ("none_such", "--collection", "none_such", "-o", "OUT/keep.json"),
        ("none_such", "-o", "OUT"),
    ],
    "receipts save": [("none_such", "-o", "OUT/keep.json")],
    "onboarding evidence": [("none_such", "-o", "OUT/keep.json")],
    "onboarding calibrate": [
        ("PEOPLE", "-o", "OUT/keep.json"),
        ("BAD", "-o", "OUT/keep.json"),
        ("PEOPLE", "--documents", "NONE", "-o", "OUT/keep.json"),
    ],
    "events export": [
        ("OUT/keep.csv", "--collection", "none_such"),
        ("OUT/keep.json", "--day", "yesterday"),
        ("OUT/keep.txt",),
    ],
    "export": [("BAD", "--out", "OUT", "--name", "keep")],
    "clean": [("BAD", "-o", "OUT")],
    "finetune": [("BAD", "-o", "OUT"), ("PEOPLE", "-o", "OUT"), ("NONE", "-o", "OUT")],
    "audit inversion": [
        ("--people", "BAD", "--basis", "research", "-o", "OUT"),
        ("--people", "PEOPLE", "-o", "OUT"),
        ("--collection", "none_such", "-o", "OUT"),
    ],
    "invert": [
        ("arcid-face-s", "BAD", "-o", "OUT"),
        ("arcid-face-s", "BAD", "-o", "OUT", "--goal", "closed"),
        ("BAD", "NONE", "-o", "OUT"),
    ],
    "detector label": [
        ("--scenes", "BAD", "-o", "OUT/keep.jsonl", "--first", "yunet", "--second", "yunet")
    ],
    "detector faces": [("--scenes", "NONE", "--labels", "BAD", "-o", "OUT/keep.tar")],
    "detector export": [("BAD", "--to", "OUT", "--name", "keep")],
    "detector landmarks": [("BAD", "--to", "OUT", "--name", "keep")],
    "evaluate ijb": [("--data", "BAD", "--embeddings", "BAD", "-o", "OUT")],
    "evaluate megaface": [
        ("--data", "BAD", "--probes", "BAD", "--distractors", "BAD", "-o", "OUT")
    ],
    "evaluate fairness": [("--data", "PEOPLE", "--groups", "BAD", "--column", "a", "-o", "OUT")],
    "evaluate pad": [("--data", "BAD", "-o", "OUT")],
    "evaluate seeds": [("--data", "BAD", "-o", "OUT"), ("--data", "PEOPLE", "-o", "OUT")],
    **{
        f"evaluate {name}": [
            ("--data", "BAD", "-o", "OUT"),
            ("--data", "BAD", "--save-embeddings", "OUT/keep.npz"),
        ]
        for name in ("lfw", "pairs", "bin", "cfp", "ytf")
    },
    **{
        f"evaluate {name}": [
            ("--data", "PEOPLE", "-o", "OUT"),
            ("--data", "PEOPLE", "--save-embeddings", "OUT/keep.npz"),
        ]
        for name in ("gallery", "folder")
    },
}
KEPT = ("keep.npz", "keep.npy", "keep.json", "keep.csv", "keep.txt", "keep.jsonl", "keep.tar",
        "report.html", "report.json", "report.md", "scores.npz", "review.html", "pairs.csv",
        "kept.csv", "1-0.png", "keep/manifest.json", "keep/model.onnx")  # fmt: skip


def with_outputs(command: Any, path: tuple[str, ...] = ()) -> set[str]:
    found = set()
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            found |= with_outputs(inner, (*path, name))
        elif any(set(FLAGS) & set(p.opts) or p.name == "output" for p in inner.params):
            found.add(" ".join((*path, name)))
    return found - NOT_FILES


def test_every_command_that_writes_is_here() -> None:
    assert with_outputs(typer.main.get_command(app)) == set(FAILING)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture
def places(data_dir: Path, tmp_path: Path) -> dict[str, Path]:
    from PIL import Image

    for name in KEPT:
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"kept for years: " + name.encode())
    noise = np.random.default_rng(5).integers(100, 140, (160, 160, 3), np.uint8)
    for person in ("people/ada", "people/eve", "none"):
        (tmp_path / person).mkdir(parents=True)
        for name in ("1.png", "2.png"):
            Image.fromarray(noise).save(tmp_path / person / name)
    (tmp_path / "bad").write_bytes(bytes(range(256)))
    (tmp_path / "empty").write_bytes(b"")
    shutil.copy(data_dir / "data/deepface-pairs/img1.jpg", tmp_path / "face.jpg")
    return {
        "OUT": tmp_path / "out",
        "PEOPLE": tmp_path / "people",
        "NONE": tmp_path / "none",
        "BAD": tmp_path / "bad",
        "EMPTY": tmp_path / "empty",
        "FACE": tmp_path / "face.jpg",
    }


@pytest.mark.parametrize(
    ("name", "words"), [(name, words) for name, all_ in FAILING.items() for words in all_]
)
def test_a_command_that_fails_leaves_its_output(
    cli: Any, places: dict[str, Path], name: str, words: tuple[str, ...]
) -> None:
    before = digests(places["OUT"])
    argv = [*name.split()]
    for word in words:
        head, _, tail = word.partition("/")
        argv.append(str(places[head] / tail) if head in places else word)
    ran = cli(*argv)
    assert ran.code in ((0, 2, 3) if name == "detect" else (2, 3, 4, 5)), ran
    assert digests(places["OUT"]) == before
    assert "Traceback" not in ran.err


def test_npy_holds_the_vectors(cli: Any, places: dict[str, Path], tmp_path: Path) -> None:
    face = places["FACE"]
    ran = cli("embed", face, face, "-o", tmp_path / "new" / "c.npy", "--json", "--vectors")
    assert ran.code == 0
    stored = np.load(tmp_path / "new" / "c.npy", allow_pickle=False)
    wanted = np.concatenate([np.array(p["vectors"]) for p in ran.json["photos"]])
    np.testing.assert_allclose(stored, wanted, atol=1e-6)
    assert (tmp_path / "new" / "c.npy").stat().st_mode & 0o077 == 0


def test_what_was_not_written_is_said(cli: Any, places: dict[str, Path]) -> None:
    none, face, out = places["NONE"], places["FACE"], places["OUT"]
    ran = cli("embed", none / "1.png", "-o", out / "keep.npz")
    assert ran.code == 3 and "keep.npz was not written: nothing was embedded" in ran.err
    ran = cli("embed", none / "1.png", face, "-o", out / "keep.npy")
    assert ran.code == 3 and "1 photos gave none; use .npz" in ran.err
    ran = cli("embed", none / "1.png", "-o", out / "keep.npz", "--json")
    assert ran.json["output"] is None


def test_a_full_disk_is_told_and_the_exit_code_says_so(
    cli: Any, places: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "full.npz").symlink_to("/dev/full")
    ran = cli("embed", places["FACE"], "-o", tmp_path / "full.npz")
    assert ran.code == 5 and "full.npz cannot be written: No space left" in ran.err


def test_a_calibration_that_could_not_be_kept_is_refused_before_the_work(
    cli: Any, environment: Path, tmp_path: Path
) -> None:
    for name in ("Ann", "Bea"):
        (tmp_path / "people" / name).mkdir(parents=True)
        (tmp_path / "people" / name / "1.jpg").write_bytes(b"no picture")
    environment.mkdir()
    (environment / "models").write_text("in the way")
    for command in (("calibrate",), ("onboarding", "calibrate")):
        ran = cli(*command, tmp_path / "people")
        assert ran.code == 2 and "models is a file" in ran.err
    assert cli("calibrate", tmp_path / "people", "--dry-run").code == 3
