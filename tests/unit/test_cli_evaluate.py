"""``arcid evaluate …`` and ``arcid compare`` on real photographs, the vectors made once."""

from __future__ import annotations

import csv
import io
import json
import pickle
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from arcid.apps.evaluate_photos import Run
from arcid.apps.photo_options import Options
from arcid.embed import OnnxEmbedder
from arcid.errors import DatasetInvalid
from arcid.evaluate.embeddings import EmbeddingSet, load_embeddings
from arcid.evaluate.sources import Photo
from arcid.models import weights
from arcid.pipeline import Pipeline

pytestmark = pytest.mark.data
EACH = 30  # pairs of each kind
HARD = ("Elisabeth_Schumacher", "Cristina_Fernandez", "Janica_Kostelic")

RATE = {
    "type": "object",
    "required": ["value", "low", "high", "count", "trials", "interval", "support"],
    "properties": {
        "value": {"type": "number", "minimum": 0, "maximum": 1},
        "low": {"type": "number", "minimum": 0},
        "high": {"type": "number", "maximum": 1},
        "count": {"type": "integer"},
        "trials": {"type": "integer"},
    },
}
RECORD = {
    "type": "object",
    "required": ["schema_version", "protocol", "name", "measured", "failed", "report"],
    "properties": {
        "schema_version": {"const": 1},
        "accuracy": {"type": "number", "minimum": 0, "maximum": 1},
        "accuracy_interval": RATE,
        "eer": {"anyOf": [RATE, {"type": "number"}]},
        "top_1": RATE,
        "tar_at_fmr": {
            "type": "array",
            "items": {"required": ["target_fmr", "threshold", "tar"]},
        },
        "at_product_threshold": {"properties": {"fmr": RATE, "fnmr": RATE}},
        "measured": {"required": ["data", "seed", "date", "arcid"]},
        "failed": {"type": "array", "items": {"required": ["photo", "code", "message"]}},
        "report": {"anyOf": [{"type": "null"}, {"required": ["html", "json", "markdown"]}]},
    },
}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def lfw(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """View 1's test list cut down to 40 + 40 pairs, images/ beside it."""
    root = tmp_path_factory.mktemp("lfw")
    source = data_dir / "data" / "lfw-dev"
    lines = (source / "pairsDevTest.txt").read_text().splitlines()
    same = sorted(lines[1:501], key=lambda line: not line.startswith(HARD))  # those come first
    kept = [str(EACH), *same[:EACH], *lines[501 : 501 + EACH]]
    (root / "pairsDevTest.txt").write_text("\n".join(kept) + "\n")
    (root / "images").symlink_to(source / "images")
    return root


@pytest.fixture(scope="session")
def people(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 people with four photos each, and six more with a single one."""
    root = tmp_path_factory.mktemp("people")
    folders = sorted((data_dir / "data" / "lfw-dev" / "images").iterdir())
    many = [f for f in folders if len(list(f.iterdir())) >= 4][:24]
    single = [f for f in folders if len(list(f.iterdir())) == 1][:6]
    for folder in many + single:
        (root / folder.name).mkdir()
        for photo in sorted(folder.iterdir())[:4]:
            (root / folder.name / photo.name).symlink_to(photo)
    return root


@pytest.fixture
def measure(cli: Any, cache: Path) -> Callable[..., Any]:
    """``arcid evaluate … --json`` with the shared cache; returns what it printed, checked."""

    def run(*argv: object) -> Any:
        ran = cli("evaluate", *argv, "--cache", cache, "--json")
        assert ran.code == 0, ran.out + ran.err
        Draft202012Validator(RECORD).validate(ran.json)
        return ran.json

    return run


class Page(HTMLParser):
    """Checks that every element is closed, and keeps what a browser would load."""

    VOID = frozenset({"meta", "img", "br", "path", "rect", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


# lfw: the report, the cache, masks, vectors from a file


def test_lfw_measures_and_writes_a_report(measure: Any, lfw: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report"
    record = measure("lfw", "--data", lfw, "-o", out, "--no-pictures")
    assert record["protocol"] == "verification"
    assert (record["genuine_pairs"], record["impostor_pairs"]) == (EACH, EACH)
    assert 0.9 <= record["accuracy"] < 1
    found = record["accuracy_interval"]
    assert found["count"] / found["trials"] == record["accuracy"] and found["trials"] == 2 * EACH
    assert found["low"] <= record["accuracy"] <= found["high"] and found["low"] < found["high"]
    assert [p["target_fmr"] for p in record["tar_at_fmr"]] == [0.1]  # 30 impostors: no less
    assert record["at_product_threshold"]["fmr"]["trials"] == EACH
    assert record["failed_photos"] == 0 and record["failed"] == []
    kept = json.loads((out / "report.json").read_text())
    assert kept == {k: v for k, v in record.items() if k != "report"}
    text = (out / "report.md").read_text()
    assert f"| Accuracy | {100 * record['accuracy']:.2f} % |" in text
    assert "## How this was measured" in text
    assert "<img" not in text and "data:" not in text
    assert {p.name for p in out.iterdir()} == {
        "report.html", "report.json", "report.md", "scores.npz",
    }  # fmt: skip


def test_the_page_stands_alone(measure: Any, lfw: Path, tmp_path: Path) -> None:
    measure("lfw", "--data", lfw, "-o", tmp_path)
    raw = (tmp_path / "report.html").read_text()
    page = Page(raw)
    assert page.open == []
    assert "http:" not in raw and "https:" not in raw and "script" not in page.tags
    assert len(page.loaded) == 4 * 12  # twelve pairs of each kind, two pictures each
    assert all(url.startswith("data:image/jpeg;base64,") for url in page.loaded)
    assert page.tags.count("desc") == page.tags.count("svg") >= 5
    assert "prefers-color-scheme:dark" in raw and "overflow-x:auto" in raw
    for title in ("Error rates by threshold", "Detection error trade-off", "Lowest pairs"):
        assert title in page.text
    assert (tmp_path / "report.html").stat().st_mode & 0o077 == 0

    measure("lfw", "--data", lfw, "-o", tmp_path, "--no-pictures")
    bare = Page((tmp_path / "report.html").read_text())
    assert bare.loaded == [] and "Lowest pairs" not in bare.text


def test_a_second_run_embeds_nothing(measure: Any, cli: Any, lfw: Path, tmp_path: Path) -> None:
    first = measure("lfw", "--data", lfw)
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_: Any) -> Any:
            raise AssertionError("the embedder was called")

        patch.setattr(OnnxEmbedder, "embed", refuse)
        again = measure("lfw", "--data", lfw, "-o", tmp_path, "--no-pictures")
        assert again["fold_thresholds"] == first["fold_thresholds"]
        with pytest.raises(AssertionError, match="was called"):
            cli("evaluate", "lfw", "--data", lfw, "--no-cache")
        with pytest.raises(AssertionError, match="was called"):  # another face may be meant
            measure("lfw", "--data", lfw, "--select", "largest")


def test_quality_is_kept_beside_the_vectors(measure: Any, lfw: Path, tmp_path: Path) -> None:
    measure("lfw", "--data", lfw)
    record = measure("lfw", "--data", lfw, "--masked", "-o", tmp_path, "--no-pictures")
    assert record["eer"]["value"] > 0  # something for quality to foretell
    assert "Does quality foretell errors?" in (tmp_path / "report.html").read_text()


def test_masks_cost_accuracy_and_never_meet_plain_vectors(measure: Any, lfw: Path) -> None:
    known = ("lfw", "--data", lfw, "--model", "mobilefacenet_128")  # never taught masks
    plain = measure(*known)
    masked = measure(*known, "--masked")
    assert masked["d_prime"] < 0.9 * plain["d_prime"]
    assert masked["measured"]["masks"] and "masks" not in plain["measured"]
    assert measure(*known)["d_prime"] == plain["d_prime"]


def test_vectors_from_a_file_need_no_model(
    measure: Any, cli: Any, lfw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vectors.npz"
    made = measure("lfw", "--data", lfw, "--save-embeddings", file)
    assert file.stat().st_mode & 0o077 == 0

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a model was opened")

    monkeypatch.setattr(Pipeline, "from_models", refuse)
    again = measure("lfw", "--data", lfw, "--embeddings", file, "-o", tmp_path / "report")
    assert again["fold_thresholds"] == pytest.approx(made["fold_thresholds"], abs=1e-6)
    assert again["contract_id"] == made["contract_id"]
    assert Page((tmp_path / "report" / "report.html").read_text()).loaded  # the photos themselves

    other = load_embeddings(file)
    EmbeddingSet(other.names, other.vectors, "another model").save(tmp_path / "other.npz")
    ran = cli(
        "evaluate", "lfw", "--data", lfw, "--embeddings", tmp_path / "other.npz",
        "--model", "mobilefacenet_128", "--json",
    )  # fmt: skip
    assert ran.code == 4 and ran.json["error"]["code"] == "contract_mismatch"

    few = other.select(other.names[:-3])
    few.save(tmp_path / "few.npz")
    ran = cli("evaluate", "lfw", "--data", lfw, "--embeddings", tmp_path / "few.npz")
    assert ran.code == 3 and f"3 of {len(other)} missing" in ran.err


def test_the_file_of_arcid_embed_is_understood(
    cli: Any, measure: Any, data_dir: Path, tmp_path: Path
) -> None:
    pairs = data_dir / "data" / "deepface-pairs"
    photos = sorted(pairs.glob("*.jpg"))
    file = tmp_path / "faces.npz"
    assert cli("embed", *photos, "--select", "center", "-o", file).code == 0
    ours = measure("pairs", "--data", pairs)
    theirs = measure("pairs", "--data", pairs, "--embeddings", file)
    ours, theirs = (r["distances"]["cosine"]["threshold"] for r in (ours, theirs))
    assert theirs == pytest.approx(ours, abs=1e-4)
    assert load_embeddings(file).names == tuple(map(str, photos))

    file.write_bytes(file.read_bytes()[:-500])
    ran = cli("evaluate", "pairs", "--data", pairs, "--embeddings", file, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (3, "dataset_invalid")


def test_a_changed_detector_of_the_same_name_looks_again(data_dir: Path, tmp_path: Path) -> None:
    packaged = weights.resolve("arcid-detect-s").path.parent
    folder = shutil.copytree(packaged, tmp_path / "mine")
    photo = Photo("1", data_dir / "data" / "deepface-pairs" / "img1.jpg")
    how = Options(detector=str(folder), cache=tmp_path / "cache")
    assert not Run(how, "photos").embed([photo]).failed.any()
    file = folder / "manifest.json"
    said = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(said | {"options": said["options"] | {"threshold": 0.9999}}))
    with pytest.raises(DatasetInvalid, match="not one of the 1 photos"):
        Run(how, "photos").embed([photo])


def test_view_1_takes_its_threshold_from_the_train_pairs(measure: Any, lfw: Path) -> None:
    listed = lfw / "pairsDevTest.txt"
    record = measure("lfw", "--pairs", listed, "--images", lfw / "images", "--train-pairs", listed)
    assert record["folds_from"] == "none"
    assert record["fixed_threshold"] == record["fold_thresholds"][0]
    assert record["accuracy"] == record["accuracy_in_sample"]  # the same pairs


# the other layouts


def test_pairs_stand_beside_the_published_table(
    measure: Any, data_dir: Path, tmp_path: Path
) -> None:
    record = measure(
        "pairs", "--data", data_dir / "data" / "deepface-pairs", "-o", tmp_path, "--no-pictures"
    )
    assert (record["genuine_pairs"], record["impostor_pairs"]) == (38, 262)
    assert record["published"]["cosine"]["accuracy"] == 0.97
    ours = record["distances"]["cosine"]["in_sample"]
    assert ours["accuracy"] >= 0.97 and ours["f1"] >= 0.93
    assert record["distances"]["cosine"]["leave_identity_out"]["accuracy"] >= 0.97
    text = (tmp_path / "report.md").read_text()
    assert "cosine, in-sample" in text and "cosine, published" in text


@pytest.mark.parametrize("layout", ["labels", "two-line"])
def test_plain_lists_are_told_apart(measure: Any, lfw: Path, tmp_path: Path, layout: str) -> None:
    """AgeDB-30's and CALFW's way to write pairs, the same pairs as in LFW's."""
    lines = []
    for i, line in enumerate((lfw / "pairsDevTest.txt").read_text().splitlines()[1:]):
        f = line.split("\t")
        a, b = (f[0], f[1]), (f[0] if len(f) == 3 else f[2], f[-1])
        one, two = (f"{p}/{p}_{int(n):04d}.jpg" for p, n in (a, b))
        fold = 1 + i % 10 if len(f) == 3 else 0
        lines += (
            [f"{one} {two} {int(len(f) == 3)}"]
            if layout == "labels"
            else [f"{one}\t{fold}", f"{two}\t{fold}"]
        )
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(lines) + "\n")
    record = measure("pairs", "--data", listed, "--images", lfw / "images")
    assert record["protocol"] == "verification"
    assert record["d_prime"] == pytest.approx(measure("lfw", "--data", lfw)["d_prime"])


def test_bin_gives_the_scores_of_the_crops_inside(
    measure: Any, cli: Any, lfw: Path, data_dir: Path, tmp_path: Path
) -> None:
    folder = lfw / "images"
    photos = [p for d in sorted(folder.iterdir()) if len(p := sorted(d.iterdir())) > 1][:12]
    files = [f for pair in photos for f in pair[:2]]
    crops = []
    for file in files:
        ran = cli("detect", file, "--select", "center", "--crops", tmp_path / "crops", "--json")
        crops.append(Path(ran.json["photos"][0]["faces"][0]["crop"]).read_bytes())
    same = [(i, i + 1, True) for i in range(0, 24, 2)]
    different = [(i, (i + 3) % 24, False) for i in range(0, 24, 2)]
    stored = [crops[k] for a, b, _ in same + different for k in (a, b)]
    binary = tmp_path / "made.bin"
    binary.write_bytes(pickle.dumps((stored, [s for *_, s in same + different])))
    record = measure("bin", "--data", binary, "-o", tmp_path / "report")
    assert (record["genuine_pairs"], record["photos"]) == (12, 24)
    assert record["measured"]["detector"] == "none, aligned"
    scores = np.load(tmp_path / "report" / "scores.npz")["scores"]
    ran = cli("verify", files[0], files[1], "--select", "center", "--json")
    assert scores[0] == pytest.approx(ran.json["cosine"], abs=1e-3)

    binary.write_bytes(binary.read_bytes()[:-700])
    ran = cli("evaluate", "bin", "--data", binary, "--json")
    assert ran.code == 3 and "cut short at byte" in ran.json["error"]["message"]
    ran = cli("evaluate", "bin", "--data", data_dir / "data" / "bin" / "small_lfw.bin")
    assert ran.code == 3 and "no pair of different people" in ran.err


def test_cfp_in_its_own_folder(measure: Any, people: Path, tmp_path: Path) -> None:
    everybody = [d for d in sorted(people.iterdir()) if len(list(d.iterdir())) == 4][:8]
    lists: dict[str, list[str]] = {"F": [], "P": []}
    for number, person in enumerate(everybody, start=1):
        for kind, which in (("frontal", "F"), ("profile", "P")):
            for k, photo in enumerate(sorted(person.iterdir())[2 * (which == "P") :][:2], start=1):
                target = tmp_path / f"Data/Images/{number:03d}/{kind}/{k:02d}.jpg"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(photo, target)
                lists[which].append(f"../Data/Images/{number:03d}/{kind}/{k:02d}.jpg")
    for which, entries in lists.items():
        listed = tmp_path / f"Protocol/Pair_list_{which}.txt"
        listed.parent.mkdir(exist_ok=True)
        listed.write_text("".join(f"{i} {e}\n" for i, e in enumerate(entries, start=1)))
    for fold in (1, 2):
        folder = tmp_path / f"Protocol/Split/FP/{fold:02d}"
        folder.mkdir(parents=True)
        own = range(8 * fold - 7, 8 * fold + 1)
        (folder / "same.txt").write_text("".join(f"{i},{i}\n" for i in own))
        (folder / "diff.txt").write_text("".join(f"{i},{(i + 3) % 16 + 1}\n" for i in own))
    record = measure("cfp", "--data", tmp_path)
    assert (record["name"], record["folds_from"]) == ("cfp-fp", "list")
    assert len(record["fold_accuracies"]) == 2 and record["accuracy"] > 0.9


def test_ytf_takes_the_mean_of_the_frames(measure: Any, people: Path, tmp_path: Path) -> None:
    everybody = [d for d in sorted(people.iterdir()) if len(list(d.iterdir())) == 4][:10]
    rows = ["split number, first name, second name, similarity, is same"]
    for i, person in enumerate(everybody):
        for k, photo in enumerate(sorted(person.iterdir())):
            target = tmp_path / f"frame_images_DB/{person.name}/{k // 2}/{k % 2}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(photo.resolve())
        other = everybody[(i + 1) % 10].name
        rows += [f"{1 + i % 2}, {person.name}/0, {person.name}/1, 1, 1"]
        rows += [f"{1 + i % 2}, {person.name}/0, {other}/1, 0, 0"]
    (tmp_path / "splits.txt").write_text("\n".join(rows) + "\n")
    all_frames = measure("ytf", "--data", tmp_path)
    one_frame = measure("ytf", "--data", tmp_path, "--max-frames", "1")
    assert (all_frames["photos"], one_frame["photos"]) == (40, 20)
    assert all_frames["accuracy"] >= 0.95
    assert all_frames["d_prime"] > one_frame["d_prime"]


# galleries and folders


def test_gallery_enrols_some_and_searches_others(
    measure: Any, people: Path, tmp_path: Path
) -> None:
    record = measure(
        "gallery", "--data", people, "--people", 16, "--enrol", 2, "--probe", 2,
        "--strangers", -1, "--seed", 3, "-o", tmp_path,
    )  # fmt: skip
    assert (record["people"], record["enrolled_photos"], record["probes"]) == (16, 32, 32)
    assert record["strangers"] == 8 * 2 + 6
    assert record["accuracy"] == record["top_1"]["value"] >= 0.9
    assert record["top_1"]["value"] <= record["top_3"]["value"] <= record["top_5"]["value"]
    assert len(record["cmc"]) == 16
    page = Page((tmp_path / "report.html").read_text())
    assert page.open == [] and "Found by rank" in page.text
    again = measure(
        "gallery", "--data", people, "--people", 16, "--enrol", 2, "--probe", 2, "--seed", 4
    )
    assert again["strangers"] == 0 and again["dir_at_fpir"] == []


def test_failed_reads_are_counted_and_listed(
    cli: Any, cache: Path, people: Path, data_dir: Path, tmp_path: Path
) -> None:
    many = [f for f in sorted(people.iterdir()) if len(list(f.iterdir())) == 4][:8]
    for folder in many:
        shutil.copytree(folder, tmp_path / "p" / folder.name)
    broken = sorted((tmp_path / "p").iterdir())[:2]
    torn = sorted(broken[0].iterdir())[0]
    torn.write_bytes(torn.read_bytes()[:2000])
    faceless = sorted(broken[1].iterdir())[0]
    shutil.copy(data_dir / "data" / "photos" / "misc" / "no_face.png", faceless)
    argv = ("--data", tmp_path / "p", "--cache", cache)
    ran = cli("evaluate", "folder", *argv, "-o", tmp_path / "report")
    assert ran.code == 0
    record = json.loads((tmp_path / "report" / "report.json").read_text())
    assert record["failed_photos"] == 2 and record["failed_genuine_pairs"] == 6
    tar = record["tar_at_fmr"][0]["tar"]
    assert tar["trials"] == record["genuine_pairs"] + 6 and tar["count"] <= record["genuine_pairs"]
    assert {f["code"] for f in record["failed"]} == {"image_unreadable", "no_face_found"}
    page = Page((tmp_path / "report" / "report.html").read_text())
    for name in (torn.name, faceless.name):
        assert name in page.text and name in ran.err
    count = len(list((tmp_path / "p").iterdir()))
    ran = cli("evaluate", "gallery", *argv, "--people", count, "--enrol", 2, "--probe", 2, "--json")
    reads = ran.json["failed_reads"]
    assert reads["enrolled"] + reads["probes"] == 2


def test_folder_counts_every_pair(measure: Any, people: Path, tmp_path: Path) -> None:
    record = measure("folder", "--data", people, "--select", "center", "-o", tmp_path)
    assert (record["people"], record["photos"]) == (30, 102)
    assert record["genuine_pairs"] == 24 * 6
    assert record["impostor_pairs"] == 102 * 101 // 2 - 24 * 6
    assert record["auc"] > 0.99
    point = record["tar_at_fmr"][-1]
    assert point["fmr"]["value"] <= point["target_fmr"]
    assert point["tar"]["trials"] == 24 * 6 and 0.8 < point["tar"]["low"] < point["tar"]["value"]
    page = Page((tmp_path / "report.html").read_text())
    assert "Highest pairs of two people" in page.text and len(page.loaded) == 48


def test_fairness_by_the_users_own_labels(
    measure: Any, cli: Any, people: Path, tmp_path: Path
) -> None:
    table = tmp_path / "groups.csv"
    folders = [d for d in sorted(people.iterdir()) if len(list(d.iterdir())) == 4]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("photo", "half"))
        for i, folder in enumerate(folders):
            for photo in sorted(folder.iterdir()):
                name = photo.relative_to(people).as_posix()
                writer.writerow((name, "first" if i < 10 else "second"))
    argv = (
        "--data", people, "--groups", table, "--column", "half", "-o", tmp_path / "r",
        "--select", "center",
    )  # fmt: skip
    record = measure("fairness", *argv, "--threshold", 0.2)
    groups = {g["group"]: g for g in record["groups"]}
    assert groups["first"]["people"] == 10 and groups["second"]["people"] == 14
    assert groups["first"]["fmr"]["trials"] == 40 * 39 // 2 - 10 * 6
    assert groups["second"]["fnmr"]["trials"] == 14 * 6
    assert record["unlabelled"] == 6
    page = Page((tmp_path / "r" / "report.html").read_text())
    assert "too few to state an FMR" in page.text
    assert measure("fairness", *argv, "--fmr", "1e-3")["threshold"] > 0.2
    ran = cli("evaluate", "fairness", "--data", people)
    assert ran.code == 2 and "--groups" in ran.err


def test_photos_without_people_are_each_somebody_else(
    measure: Any, people: Path, tmp_path: Path
) -> None:
    for i, person in enumerate(sorted(people.iterdir())):
        photo = sorted(person.iterdir())[0]
        (tmp_path / f"{i}_{i % 2}_x.jpg").symlink_to(photo.resolve())
    record = measure("fairness", "--data", tmp_path, "--name-field", 2, "--threshold", 0.1)
    assert [g["fnmr"] for g in record["groups"]] == [None, None]
    assert sum(g["photos"] for g in record["groups"]) == 30


# templates, distractors, attacks


@pytest.fixture
def vectors(measure: Any, people: Path, tmp_path: Path) -> EmbeddingSet:
    measure(
        "folder",
        "--data",
        people,
        "--select",
        "center",
        "--save-embeddings",
        tmp_path / "people.npz",
    )
    return load_embeddings(tmp_path / "people.npz")


def test_ijb_from_meta_files_and_vectors(
    measure: Any, vectors: EmbeddingSet, tmp_path: Path
) -> None:
    meta = tmp_path / "ijb" / "meta"
    meta.mkdir(parents=True)
    owner = [n.split("/")[0] for n in vectors.names]
    seen: dict[str, int] = {}
    faces, points, pairs, subjects = [], [], [], {}
    names = list(dict.fromkeys(p for p in owner if owner.count(p) == 4))
    rows = [i for i, p in enumerate(owner) if p in names]
    for i in rows:
        k = seen[owner[i]] = seen.get(owner[i], -1) + 1
        template = 2 * names.index(owner[i]) + k // 2
        subjects[template] = names.index(owner[i])
        faces.append(f"{i}.jpg {template} {i}")
        points.append(f"{i}.jpg " + "1 2 3 4 5 6 7 8 9 10 0.9")
    for a in range(0, 2 * len(names), 2):
        pairs += [f"{a} {b} {int(b == a + 1)}" for b in range(1, 2 * len(names), 2)]
    (meta / "ijbc_face_tid_mid.txt").write_text("\n".join(faces) + "\n")
    (meta / "ijbc_name_5pts_score.txt").write_text("\n".join(points) + "\n")
    (meta / "ijbc_template_pair_label.txt").write_text("\n".join(pairs) + "\n")
    header = "TEMPLATE_ID,SUBJECT_ID\n"
    for part, kept in (("gallery_G1", range(0, 36, 2)), ("probe_mixed", range(1, 48, 2))):
        text = header + "".join(f"{t},{subjects[t]}\n" for t in kept)
        (meta / f"ijbc_1N_{part}.csv").write_text(text)
    np.save(tmp_path / "rows.npy", vectors.vectors[rows])
    record = measure(
        "ijb", "--data", tmp_path / "ijb", "--embeddings", tmp_path / "rows.npy", "-o", tmp_path
    )
    assert (record["templates"], record["genuine_pairs"]) == (48, 24)
    assert record["tar_at_fmr"][0]["tar"]["value"] > 0.95
    (found,) = record["identification"]
    assert (found["mated_probes"], found["nonmated_probes"]) == (18, 6)
    assert found["rank_1"]["value"] > 0.9
    assert "Found by rank" in (tmp_path / "report.html").read_text()


def test_megaface_from_lists_and_vectors(
    measure: Any, cli: Any, vectors: EmbeddingSet, tmp_path: Path
) -> None:
    single = [
        n for n in vectors.names if sum(o.startswith(n.split("/")[0]) for o in vectors.names) == 1
    ]
    probes = [n for n in vectors.names if n not in single]
    (tmp_path / "probes.txt").write_text("\n".join(probes[:40]) + "\n")
    (tmp_path / "far.txt").write_text("\n".join(single + probes[40:]) + "\n")
    lists = ("--probes", tmp_path / "probes.txt", "--distractors", tmp_path / "far.txt")
    record = measure(
        "megaface", *lists, "--embeddings", tmp_path / "people.npz", "-o", tmp_path / "r"
    )
    assert (record["probes"], record["distractors"]) == (40, 62)
    assert record["rank_1"]["62"]["trials"] == 10 * 4 * 3
    assert record["rank_1"]["62"]["value"] <= record["rank_1"]["10"]["value"]
    assert "Rank 1 by number of distractors" in (tmp_path / "r" / "report.html").read_text()

    far = vectors.select(single + probes[40:])
    EmbeddingSet(far.names, far.vectors, "another model").save(tmp_path / "far.npz")
    ran = cli(
        "evaluate", "megaface", *lists, "--embeddings", tmp_path / "people.npz",
        "--distractor-embeddings", tmp_path / "far.npz", "--json",
    )  # fmt: skip
    assert ran.code == 4 and ran.json["error"]["code"] == "contract_mismatch"


def test_pad_refuses_a_species_of_few_attacks(cli: Any, tmp_path: Path) -> None:
    rows = ["file,species,score"]
    rows += [f"live{i}.jpg,bona_fide,{0.4 + i / 100}" for i in range(40)]
    rows += [f"print{i}.jpg,print,{i / 50}" for i in range(30)]
    rows += ["mask0.jpg,mask,0.9", "mask1.jpg,mask,"]
    (tmp_path / "pad.csv").write_text("\n".join(rows) + "\n")
    ran = cli("evaluate", "pad", "--data", tmp_path / "pad.csv", "-o", tmp_path / "r", "--json")
    record = ran.json
    Draft202012Validator(RECORD).validate(record)
    assert record["apcer"]["print"]["count"] == 5 and list(record["apcer"]) == ["print"]
    assert record["bpcer"]["count"] == 10 and list(record["refused_species"]) == ["mask"]
    assert "no APCER is stated below 30" in (tmp_path / "r" / "report.md").read_text()
    (tmp_path / "pad.csv").write_text("file,species\na.jpg,print\n")
    assert cli("evaluate", "pad", "--data", tmp_path / "pad.csv").code == 3
    ran = cli("evaluate", "pad", "--data", tmp_path / "pad.csv", "--background", "ellipse")
    assert ran.code == 2 and "No such option" in ran.err  # scores have no background


# compare


def test_compare_two_reports(measure: Any, cli: Any, lfw: Path, tmp_path: Path) -> None:
    a, b = tmp_path / "plain", tmp_path / "masked"
    known = ("lfw", "--data", lfw, "--model", "mobilefacenet_128", "--no-pictures")
    measure(*known, "-o", a)
    measure(*known, "-o", b, "--masked")
    ran = cli("compare", a / "report.json", b, "--json", "-o", tmp_path / "both")
    assert ran.code == 0
    found = {d["metric"]: d for d in ran.json["differences"]}
    for metric, worse in (("TAR@FMR=0.1", -1), ("EER", 1), ("accuracy", -1)):
        d = found[metric]
        assert d["difference"] * worse >= 0 and d["low"] <= d["difference"] <= d["high"]
        assert d["difference"] == pytest.approx(d["b"] - d["a"])
    accuracy = [json.loads((p / "report.json").read_text())["accuracy"] for p in (a, b)]
    assert [found["accuracy"]["a"], found["accuracy"]["b"]] == accuracy
    page = Page((tmp_path / "both" / "report.html").read_text())
    assert page.open == [] and page.loaded == []
    ran = cli("compare", a, b)
    assert ran.code == 0 and "EER: no difference can be told, B − A = +0." in ran.out


def test_compare_vectors_and_models(
    cli: Any, lfw: Path, people: Path, vectors: EmbeddingSet, cache: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.14, vectors.vectors.shape)
    worse = EmbeddingSet(vectors.names, vectors.vectors + noise.astype(np.float32), "noisy model")
    worse.save(tmp_path / "noisy.npz")
    ran = cli("compare", tmp_path / "noisy.npz", tmp_path / "people.npz", "--data", people)
    assert ran.code == 0 and "TAR@FMR=0.01: people.npz is better by" in ran.out
    pairs = ("--pairs", lfw / "pairsDevTest.txt", "--images", lfw / "images", "--cache", cache)
    ran = cli("compare", "mobilefacenet_128", "mobilefacenet_128", *pairs, "--json")
    assert ran.code == 0
    assert all(d["difference"] == d["low"] == d["high"] == 0 for d in ran.json["differences"])
    assert "No difference" in ran.json["sentence"]


def test_compare_says_what_does_not_fit(
    measure: Any, cli: Any, lfw: Path, people: Path, data_dir: Path, tmp_path: Path
) -> None:
    deepface = data_dir / "data" / "deepface-pairs"
    for name, data in (("lfw", lfw), ("pairs", deepface), ("folder", people)):
        measure(name, "--data", data, "-o", tmp_path / name, "--no-pictures")
    ran = cli("compare", tmp_path / "lfw", tmp_path / "pairs")
    assert ran.code == 3 and "different pairs (lfw, 60 and master, 300)" in ran.err
    ran = cli("compare", tmp_path / "lfw", tmp_path / "folder")
    assert ran.code == 3 and "--save-embeddings" in ran.err
    ran = cli("compare", tmp_path / "lfw", "mobilefacenet_128")
    assert ran.code == 2 and "another report" in ran.err
    ran = cli("compare", "mobilefacenet_128", "mobilefacenet_128")
    assert ran.code == 2 and "--data" in ran.err
    (tmp_path / "lfw" / "scores.npz").write_bytes(b"PK")
    ran = cli("compare", tmp_path / "lfw", tmp_path / "pairs")
    assert ran.code == 3 and "scores.npz" in ran.err


# bad input


def test_a_missing_photo_is_named_with_its_line(cli: Any, lfw: Path, tmp_path: Path) -> None:
    lines = (lfw / "pairsDevTest.txt").read_text().splitlines()
    person = lines[3].split("\t")[0]
    lines[3] = f"{person}\t1\t9999"
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    ran = cli(
        "evaluate", "lfw", "--pairs", tmp_path / "pairs.txt", "--images", lfw / "images", "--json"
    )
    assert ran.code == 3 and ran.json["error"]["code"] == "dataset_invalid"
    assert f"pairs.txt line 4 names '{person}/{person}_9999'" in ran.json["error"]["message"]


def test_one_person_or_an_empty_folder_cannot_be_measured(
    cli: Any, people: Path, tmp_path: Path
) -> None:
    one = sorted(people.iterdir())[0]
    shutil.copytree(one, tmp_path / "one" / one.name)
    ran = cli("evaluate", "folder", "--data", tmp_path / "one")
    assert ran.code == 3 and "holds 1 people" in ran.err
    (tmp_path / "one" / "Nobody").mkdir()
    ran = cli("evaluate", "folder", "--data", tmp_path / "one")
    assert ran.code == 3 and "'Nobody' holds no picture" in ran.err
    ran = cli("evaluate", "gallery", "--data", people, "--people", 50)
    assert ran.code == 3 and "24 of 30 people" not in ran.err and "50 people were asked" in ran.err


def test_photos_that_all_fail_say_why(cli: Any, data_dir: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.open(data_dir / "data" / "photos" / "misc" / "no_face.png").convert("RGB").save(
        buffer, "JPEG"
    )
    for person in "ab":
        for k in range(2):
            path = tmp_path / person / f"{k}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(buffer.getvalue())
    ran = cli("evaluate", "folder", "--data", tmp_path, "--no-cache")
    assert ran.code == 3 and "not one of the 4 photos" in ran.err and "no face" in ran.err


def test_what_is_missing_is_asked_for(cli: Any, people: Path, tmp_path: Path) -> None:
    for command in ("lfw", "pairs", "bin", "cfp", "ytf", "ijb", "gallery", "folder", "pad"):
        ran = cli("evaluate", command)
        assert ran.code == 2 and "--data" in ran.err, command
    assert cli("evaluate", "folder", "--data", tmp_path / "absent").code == 3
    assert cli("evaluate", "lfw", "--data", people).code == 3
    ran = cli("evaluate", "folder", "--data", people, "--model", "none_such")
    assert ran.code == 4
    (tmp_path / "file").write_text("")
    ran = cli("evaluate", "folder", "--data", people, "--cache", tmp_path / "file" / "x")
    assert ran.code == 2 and "cannot be written" in ran.err


def test_help_can_be_read_aloud(cli: Any) -> None:
    ran = cli("evaluate", "--help")
    assert ran.code == 0
    for name in (
        *("lfw", "pairs", "bin", "cfp", "ytf", "ijb", "megaface"),
        *("gallery", "folder", "pad", "fairness"),
    ):
        assert name in ran.out
    text = " ".join(cli("evaluate", "lfw", "--help").out.split())
    assert "the threshold of each fold chosen on the other nine" in text
    assert "--data may hold the list and images/" in text
