"""Training data on real crops: four formats alike, exact order, nothing lost without a word."""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import pickle
import struct
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pil

from arcid.errors import ConfigError, DatasetInvalid, MissingExtra
from arcid.train.config.recipe import DataConfig, SourceConfig, load_config
from arcid.train.data.crops import Unusable, WrongSize, centre, decode_crop, fit_crop
from arcid.train.data.dataset import TrainData, open_data
from arcid.train.data.files import Names, SharedFile
from arcid.train.data.loader import Batch, BatchLoader
from arcid.train.data.recordio import MAGIC, RecordIoSource
from arcid.train.data.sources import open_source
from arcid.train.data.stream import Draw, SampleStream

pytestmark = pytest.mark.data
Photo = tuple[str, str, bytes]  # identity, name, encoded


@pytest.fixture(scope="module")
def photos(data_dir: Path) -> list[Photo]:
    """60 crops of 12 people: 9, 1, 3, 7, … of each."""
    counts = dict(
        zip(
            [f"n{i}" for i in range(12)],
            [9, 1, 3, 7, 5, 2, 8, 4, 1, 6, 10, 4],
            strict=True,
        )
    )
    chosen: list[Photo] = []
    people: dict[str, str] = {}
    left = dict(counts)
    with tarfile.open(data_dir / "data/train/vgg.tar") as archive:
        for member in archive:
            folder, name = member.name.split("/")
            if folder not in people and len(people) == len(counts):
                if not any(left.values()):
                    break
                continue
            who = people.setdefault(folder, f"n{len(people)}")
            if left[who]:
                left[who] -= 1
                content = archive.extractfile(member)
                assert content is not None
                chosen.append((who, name, content.read()))
    assert len(chosen) == sum(counts.values()) == 60
    return chosen


def write_folder(root: Path, photos: list[Photo]) -> Path:
    for who, name, data in photos:
        (root / who).mkdir(parents=True, exist_ok=True)
        (root / who / name).write_bytes(data)
    return root


def write_tar(path: Path, photos: list[Photo]) -> Path:
    with tarfile.open(path, "w") as archive:
        for who, name, data in photos:
            facts = tarfile.TarInfo(f"{who}/{name}")
            facts.size = len(data)
            archive.addfile(facts, io.BytesIO(data))
    return path


def record(payload: bytes) -> bytes:
    """The frames of one payload, cut at every aligned magic as writers of the format do."""
    magic, out, start = struct.pack("<I", MAGIC), b"", 0
    cuts = [i for i in range(0, len(payload) // 4 * 4, 4) if payload[i : i + 4] == magic]
    for cut in cuts:
        part = payload[start:cut]
        out += magic + struct.pack("<I", (1 if start == 0 else 2) << 29 | len(part)) + part
        start = cut + 4
    part = payload[start:]
    out += magic + struct.pack("<I", (3 if cuts else 0) << 29 | len(part)) + part
    return out + b"\0" * (-len(part) % 4)


def payload(labels: list[float], number: int, picture: bytes = b"") -> bytes:
    if len(labels) == 1:
        return struct.pack("<IfQQ", 0, labels[0], number, 0) + picture
    head = struct.pack("<IfQQ", len(labels), 0.0, number, 0)
    return head + struct.pack(f"<{len(labels)}f", *labels) + picture


def write_rec(path: Path, photos: list[Photo], *, signpost: bool = True, idx: bool = True) -> Path:
    people = list(dict.fromkeys(who for who, _, _ in photos))
    records = [
        (i, payload([float(people.index(who))], i, data))
        for i, (who, _, data) in enumerate(photos, int(signpost))
    ]
    if signpost:
        first = len(photos) + 1
        ranges = []
        for who in people:
            at = [i for i, (w, _, _) in enumerate(photos, 1) if w == who]
            assert at == list(range(at[0], at[-1] + 1))
            ranges.append([float(at[0]), float(at[-1] + 1)])
        records.insert(0, (0, payload([float(first), float(first + len(people))], 0)))
        records += [(first + i, payload(span, first + i)) for i, span in enumerate(ranges)]
    lines, content = [], b""
    for key, body in records:
        lines.append(f"{key}\t{len(content)}\n")
        content += record(body)
    path.write_bytes(content)
    if idx:
        path.with_suffix(".idx").write_text("".join(lines))
    return path


def test_ranges_that_float32_rounds_give_no_photo_to_another(tmp_path: Path) -> None:
    """As in Glint360K: 17 million images, whose odd numbers float32 does not hold."""
    start = 2**24 - 6
    ends = [start + n for n in (0, 5, 11, 17, 18, 22, 26)]  # of six people
    stop, content, lines = ends[-1], b"", []
    records = [(0, [float(stop), float(stop + 6)])]
    records += [(key, [float(sum(end <= key for end in ends[1:]))]) for key in range(start, stop)]
    records += [(stop + i, [float(a), float(b)]) for i, (a, b) in enumerate(pairwise(ends))]
    for key, labels in records:
        lines.append(f"{key}\t{len(content)}\n")
        content += record(payload(labels, key))
    (tmp_path / "train.rec").write_bytes(content)
    (tmp_path / "train.idx").write_text("".join(lines))
    source = open_source(SourceConfig(path=str(tmp_path)))
    found = {source.key(i): source.identities[who] for i, who in enumerate(source.identity)}
    assert len(found) == 26
    assert found == {str(key): str(int(own[0])) for key, own in records[1:] if key < stop}


def write_parquet(path: Path, photos: list[Photo], *, struct_column: bool = False) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pictures = [d for _, _, d in photos]
    column: list[Any] = (
        [{"bytes": d, "path": None} for d in pictures] if struct_column else pictures
    )
    table = pa.table({"image": column, "label": [who for who, _, _ in photos]})
    pq.write_table(table, path, row_group_size=7)
    return path


def settings(*paths: Path | SourceConfig, **options: Any) -> DataConfig:
    sources = tuple(p if isinstance(p, SourceConfig) else SourceConfig(path=str(p)) for p in paths)
    return DataConfig(sources=sources, **{"batch": 8, "workers": 0, **options})


def by_content(data: TrainData) -> dict[bytes, str]:
    """Pixels of every training photo → its class without the source's name."""
    return {
        data.train.store.read(int(row)).tobytes(): data.classes[label].rpartition("/")[2]
        for row, label in zip(data.train.rows, data.train.labels, strict=True)
    }


def test_four_formats_hold_the_same_photos_of_the_same_people(
    photos: list[Photo], tmp_path: Path
) -> None:
    half = len(photos) // 2
    write_tar(tmp_path / "s-00.tar", photos[:half])
    write_tar(tmp_path / "s-01.tar", photos[half:])
    paths = {
        "folder": write_folder(tmp_path / "folder", photos),
        "tar": tmp_path / "s-{00..01}.tar",
        "rec": write_rec(tmp_path / "train.rec", photos),
        "rec, labels in images": write_rec(tmp_path / "plain.rec", photos, signpost=False),
        "rec, no idx": write_rec(tmp_path / "bare.rec", photos, idx=False),
        "parquet": write_parquet(tmp_path / "bytes.parquet", photos),
        "parquet, struct": write_parquet(tmp_path / "s.parquet", photos, struct_column=True),
    }
    expected: dict[bytes, str] = {
        fit_crop(decode_crop(data), -1, 112).tobytes(): who
        for who, _, data in photos
        if who not in ("n1", "n8")
    }
    assert len(expected) == 58
    names = list(dict.fromkeys(who for who, _, _ in photos))
    for kind, path in paths.items():
        data = open_data(settings(path))
        found = by_content(data)
        if kind.startswith("rec"):
            found = {pixels: names[int(label)] for pixels, label in found.items()}
        assert found == expected, kind
        assert data.report.small_identities == 2
        assert data.report.photos == 60
        assert pickle.loads(pickle.dumps(data.train)).store.read(0).sum() > 0, kind


def test_decoding_agrees_with_pillow_channel_by_channel(photos: list[Photo]) -> None:
    for _, _, data in photos[:10]:
        theirs = np.asarray(Pil.open(io.BytesIO(data)).convert("RGB")).astype(int)
        ours = decode_crop(data).astype(int)
        assert np.abs(ours - theirs).max() <= 2
        assert np.abs(ours[..., ::-1] - theirs).mean() > 5


def test_a_payload_that_holds_the_magic_is_put_together_again(tmp_path: Path) -> None:
    magic = struct.pack("<I", MAGIC)
    pictures = [
        b"abcd" + magic + b"efgh" + magic + magic + b"tail!",
        magic + b"head",
        b"whole" * 3,
        b"ab" + magic + b"unaligned",
        b"x" * 400 + magic + b"y" * 5,
    ]
    path = write_rec(tmp_path / "train.rec", [("a", f"{i}", p) for i, p in enumerate(pictures)])
    source = RecordIoSource(path)
    assert [source.read(i) for i in range(len(source))] == pictures
    assert path.read_bytes().count(magic) > 12


def test_index_cache_is_used_and_notices_a_new_file(photos: list[Photo], tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", photos)
    cache = tmp_path / "index"
    first = open_source(SourceConfig(path=str(path)), cache)
    (kept,) = cache.iterdir()
    kept_time = kept.stat().st_mtime_ns
    again = open_source(SourceConfig(path=str(path)), cache)
    assert [again.key(i) for i in range(60)] == [first.key(i) for i in range(60)]
    assert again.read(17) == first.read(17) == photos[17][2]
    assert kept.stat().st_mtime_ns == kept_time
    write_tar(path, photos[:20])
    assert len(open_source(SourceConfig(path=str(path)), cache)) == 20
    kept.write_bytes(b"no index")
    assert len(open_source(SourceConfig(path=str(path)), cache)) == 20


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def spoilt(path: Path) -> Path:
    """One bit wrong in the header of a photo in the middle."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    data = bytearray(path.read_bytes())
    data[members[len(members) // 2].offset] ^= 1
    path.write_bytes(data)
    return path


def refusals(tmp_path: Path, photos: list[Photo]) -> dict[str, tuple[DataConfig, str]]:
    def small(name: str, side: tuple[int, int]) -> Path:
        path = tmp_path / name / "a" / "x.png"
        path.parent.mkdir(parents=True)
        Pil.open(io.BytesIO(photos[0][2])).resize(side).save(path)
        return path.parent.parent

    (tmp_path / "empty").mkdir()
    (tmp_path / "junk").mkdir()
    for i in range(3):
        (tmp_path / "junk" / f"p{i}").mkdir()
        (tmp_path / "junk" / f"p{i}" / "x.jpg").write_bytes(b"no picture")
    (tmp_path / "text.tar").write_text("no archive at all" * 100)
    (tmp_path / "text.rec").write_text("no records at all" * 100)
    (tmp_path / "text.parquet").write_text("no table at all" * 100)
    (tmp_path / "twins").mkdir()
    loose = tmp_path / "loose"
    loose.mkdir()
    for who, name, data in photos[:4]:
        (loose / f"{who}-{name}").write_bytes(data)
    singles = write_folder(tmp_path / "singles", [p for p in photos if p[0] in ("n1", "n8")])
    whole = write_tar(tmp_path / "s-0.tar", photos)
    write_tar(tmp_path / "s-2.tar", photos)
    joined = tmp_path / "j.tar"
    joined.write_bytes(2 * whole.read_bytes())
    rec = write_rec(tmp_path / "other.rec", photos)
    rec.with_suffix(".idx").write_text("0\t12\n1\t40\n")
    mixed = write_rec(tmp_path / "torn.rec", photos)
    return {
        "no source": (settings(), "data.sources is empty"),
        "empty folder": (settings(tmp_path / "empty"), "holds no photo"),
        "no such folder": (settings(tmp_path / "nowhere"), "is missing"),
        "missing shard": (settings(tmp_path / "s-{0..2}.tar"), "s-1.tar is missing"),
        "no match": (settings(tmp_path / "t-*.tar"), "no file matches"),
        "compressed": (settings(tmp_path / "x.tar.gz"), "compressed archive"),
        "cut tar": (settings(cut(write_tar(tmp_path / "c.tar", photos), 0.6)), "is cut short"),
        "spoilt tar": (settings(spoilt(write_tar(tmp_path / "d.tar", photos))), "is damaged after"),
        "joined tars": (settings(joined), "joined of several"),
        "no tar": (settings(tmp_path / "text.tar"), "no plain tar"),
        "no rec": (settings(tmp_path / "text.rec"), "no record starts here"),
        "wrong idx": (settings(rec), "do .rec and .idx belong together"),
        "cut rec": (settings(cut(mixed, 0.6)), "is cut short"),
        "no parquet": (settings(tmp_path / "text.parquet"), "no readable Parquet"),
        "wrong column": (
            settings(
                SourceConfig(
                    path=str(write_parquet(tmp_path / "p.parquet", photos)), image_column="img"
                )
            ),
            "has no column 'img', only image, label",
        ),
        "too small": (settings(small("small", (96, 96))), "96×96 pixels"),
        "not square": (settings(small("flat", (128, 112))), "128×112 pixels"),
        "unreadable": (settings(tmp_path / "junk"), "none of 3 photos"),
        "loose photos": (settings(loose), "belong to nobody"),
        "one photo each": (settings(singles), "0 identities remain"),
        "too many asked": (settings(whole, identities=50), "only 10 have at least 2"),
        "same name twice": (settings(whole, whole), "2 sources are called s-0"),
    }


CASES = [
    "no source", "empty folder", "no such folder", "missing shard", "no match", "compressed",
    "cut tar", "spoilt tar", "joined tars", "no tar", "no rec", "wrong idx", "cut rec",
    "no parquet", "wrong column",
    "too small", "not square", "unreadable", "loose photos", "one photo each", "too many asked",
    "same name twice",
]  # fmt: skip


def test_every_refusal_is_tried(photos: list[Photo], tmp_path: Path) -> None:
    made = refusals(tmp_path, photos)
    assert list(made) == CASES
    for name, (config, says) in made.items():
        with pytest.raises((DatasetInvalid, ConfigError)) as caught:
            open_data(config)
        assert says in caught.value.message, name


def test_parquet_without_its_package_names_the_extra(
    photos: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parquet(tmp_path / "p.parquet", photos)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"arcid\[parquet\]"):
        open_data(settings(path))


def test_small_identities_are_counted_or_kept_without_a_name(
    photos: list[Photo], tmp_path: Path
) -> None:
    tar = write_tar(tmp_path / "a.tar", photos)
    dropped = open_data(settings(tar, min_images=5))
    small = {"n1": 1, "n2": 3, "n5": 2, "n7": 4, "n8": 1, "n11": 4}
    assert dropped.report.small_identities == len(small)
    assert dropped.report.small_photos == sum(small.values())
    assert len(dropped.unlabelled) == 0
    assert {c.rpartition("/")[2] for c in dropped.classes} == {
        who for who, _, _ in photos
    } - small.keys()
    kept = open_data(settings(tar, min_images=5, small_identities="unlabelled"))
    assert len(kept.unlabelled) == sum(small.values())
    assert set(kept.unlabelled.labels.tolist()) == {-1}
    assert not set(kept.unlabelled.rows.tolist()) & set(kept.train.rows.tolist())
    assert len(kept.train.joined(kept.unlabelled)) == 60
    assert any("6 identities with too few photos joined" in x for x in kept.report.lines())


def test_photos_without_identity_join_nobodys_class(data_dir: Path, photos: list[Photo]) -> None:
    train = data_dir / "data/train"
    data = open_data(
        settings(
            train / "vgg.tar",
            SourceConfig(path=str(train / "ukmp.tar"), labelled=False),
            small_identities="unlabelled",
        )
    )
    assert (len(data.classes), len(data.train)) == (57, 7410)
    assert data.report.unlabelled_photos == len(data.unlabelled) == 1353
    only = open_data(
        settings(SourceConfig(path=str(train / "ukmp.tar"), labelled=False)), need_identities=False
    )
    assert (len(only.train), len(only.unlabelled)) == (0, 1353)


@pytest.mark.parametrize(("name", "identities"), [("small", 1000), ("smoke", 57)])
def test_the_data_of_the_shipped_recipes_opens(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, identities: int
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    config = load_config(Path(__file__).parents[2] / f"configs/{name}.yaml").data
    data = open_data(config.but(cache="none"))
    assert len(data.classes) >= identities
    assert np.bincount(data.train.labels, minlength=len(data.classes)).min() >= 2
    assert len(data.train) > 7000


def test_choices_nest_and_nothing_is_in_two_sets(data_dir: Path) -> None:
    tar = data_dir / "data/train/celeba-a.tar"
    chosen: dict[int, set[str]] = {}
    held: dict[int, set[int]] = {}
    for count in (20, 60, 120):
        data = open_data(
            settings(tar, identities=count, holdout_identities=40, holdout=0.1, max_images=15)
        )
        chosen[count] = set(data.classes)
        held[count] = set(data.held.rows.tolist())
        assert len(data.classes) == count
        parts = [set(s.rows.tolist()) for s in (data.train, data.holdout, data.held)]
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert len(np.unique(data.held.labels)) == 40
        both = np.concatenate([data.train.labels, data.holdout.labels])
        assert np.bincount(both).max() <= 15
        assert np.bincount(data.train.labels, minlength=count).min() >= 2
        expected = np.floor(np.bincount(both) * 0.1 + 0.5)
        assert (np.bincount(data.holdout.labels, minlength=count) == expected).all()
        r = data.report
        assert r.photos == (
            r.train_photos + r.holdout_photos + r.held_photos + r.small_photos
            + r.unlabelled_photos + r.unchosen_photos
        )  # fmt: skip
        assert {data.classes[label] for label in data.train.labels} == chosen[count]
        for i in range(0, len(data.train), 97):
            assert data.train.key(i).startswith(data.classes[data.train.labels[i]] + "/")
    assert chosen[20] < chosen[60] < chosen[120]
    assert held[20] == held[60] == held[120]


def test_a_list_of_photos_chooses_and_relabels(photos: list[Photo], tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", photos)
    everything = open_data(settings(tar, min_images=1))
    keys = [everything.train.key(i) for i in range(len(everything.train))]
    listed = tmp_path / "kept.csv"
    with listed.open("w", newline="") as file:
        csv.writer(file).writerows([["key"], *[[k] for k in keys[:20]]])
    kept = open_data(settings(tar, keep=str(listed)))
    assert {kept.train.key(i) for i in range(len(kept.train))} <= set(keys[:20])
    with listed.open("w", newline="") as file:
        rows = [[k, "a/n0" if i % 2 else "a/new"] for i, k in enumerate(keys)]
        csv.writer(file).writerows([["key", "identity"], *rows])
    renamed = open_data(settings(tar, keep=str(listed)))
    assert set(renamed.classes) == {"a/n0", "a/new"}
    for i in range(len(renamed.train)):
        place = keys.index(renamed.train.key(i))
        assert renamed.classes[renamed.train.labels[i]] == rows[place][1]
    listed.write_bytes(b"\xef\xbb\xbf" + listed.read_bytes())  # as a spreadsheet saves it
    assert open_data(settings(tar, keep=str(listed))).classes == renamed.classes
    with listed.open("a", newline="") as file:
        csv.writer(file).writerow(["a/n0/unheard-of.webp", "a/n0"])
    with pytest.raises(DatasetInvalid, match=r"1 photos that are in no source.*unheard-of"):
        open_data(settings(tar, keep=str(listed)))


def test_listed_identities_and_photos_are_never_trained_on(
    photos: list[Photo], tmp_path: Path
) -> None:
    tar = write_tar(tmp_path / "a.tar", photos)
    before = open_data(settings(tar, min_images=1))
    whole, single = before.classes[0], before.train.key(len(before.train) - 1)
    listed = tmp_path / "held.txt"
    listed.write_text(f"# who judges\n{whole}\n{single}\nelsewhere/n1\n")
    data = open_data(settings(tar, min_images=1, leave_out=(str(listed),)))
    left = {data.train.key(i) for i in range(len(data.train))}
    assert whole not in data.classes
    assert single not in left
    gone = int((before.train.labels == 0).sum()) + 1
    assert data.report.left_out_photos == gone == len(before.train) - len(left)
    assert f"{gone} photos left out by a list" in data.report.lines()
    listed.write_text(f"{whole}x\n")
    with pytest.raises(DatasetInvalid, match="a name misspelt would be trained on"):
        open_data(settings(tar, leave_out=(str(listed),)))
    listed.write_bytes(f"{whole}\r\n".encode("utf-8-sig"))  # as Windows' programs save it
    data = open_data(settings(tar, min_images=1, leave_out=(str(listed),)))
    assert whole not in data.classes
    listed.write_bytes(f"{whole}\r\n".encode("utf-16"))
    with pytest.raises(DatasetInvalid, match=r"held\.txt is not text in UTF-8"):
        open_data(settings(tar, min_images=1, leave_out=(str(listed),)))


def test_more_people_held_out_than_there_are_are_refused(
    photos: list[Photo], tmp_path: Path
) -> None:
    tar = write_tar(tmp_path / "a.tar", photos)
    there = len(open_data(settings(tar)).classes)
    for wanted in (there + 1, 2 * there - 2):
        with pytest.raises(ConfigError, match=f"asks for {wanted}, only {there} have at least 2"):
            open_data(settings(tar, holdout_identities=wanted))


def test_the_held_out_lists_name_what_the_sets_have(data_dir: Path) -> None:
    configs = Path(__file__).parents[2] / "configs"
    lists = tuple(str(configs / f"held_out_{role}.txt") for role in ("select", "calibrate"))
    train = data_dir / "data/train"
    people = [str(train / f"{name}.tar") for name in ("vgg", "celeba-a", "celeba-b", "fiw")]
    data = open_data(settings(*people, min_images=1, leave_out=lists))
    assert 0.15 < data.report.left_out_photos / data.report.photos < 0.25
    select, calibrate = (set(Path(path).read_text().splitlines()[1:]) for path in lists)
    assert not select & calibrate
    families = [
        {name.partition("_")[0] for name in role if name.startswith("fiw/")}
        for role in (select, calibrate, set(data.classes))
    ]
    assert not (families[0] & families[1] or families[0] & families[2] or families[1] & families[2])


def test_crops_of_other_sizes_keep_the_template_in_place(photos: list[Photo]) -> None:
    crop = decode_crop(photos[0][2])
    template = centre(crop, 112)
    canvas = fit_crop(crop, -1, 112)
    assert (canvas == crop).all()
    bare = fit_crop(template, -1, 112)
    assert bare.shape == (128, 128, 3)
    assert (centre(bare, 112) == template).all()
    assert (bare[0, 8:-8] == template[0]).all()  # the rim repeats the border
    large = np.asarray(Pil.fromarray(crop).resize((256, 256), Pil.Resampling.BICUBIC))
    rimmed = fit_crop(large, 16, 112).astype(int)
    assert np.abs(rimmed - crop).mean() < 2.5
    assert np.abs(fit_crop(large, 0, 112).astype(int) - crop).mean() > 10
    double = fit_crop(crop, -1, 224)
    assert double.shape == (256, 256, 3)
    for bad, margin in ((crop[:100, :100], 0), (crop[:, :120], 0), (crop, 9)):
        with pytest.raises(WrongSize, match="at least 112"):
            fit_crop(bad, margin, 112)


@pytest.mark.parametrize("kind", ["WEBP", "JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_cut_pictures_are_never_half_used(
    photos: list[Photo], kind: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    buffer = io.BytesIO()
    Pil.open(io.BytesIO(photos[0][2])).convert("RGB").save(buffer, kind)
    data = buffer.getvalue()
    assert decode_crop(data).shape == (128, 128, 3)
    with pytest.raises(Unusable):
        decode_crop(data[: int(len(data) * share)])


def labels_of(counts: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.repeat(np.arange(len(counts)), counts).astype(np.int64)


def run(stream: SampleStream, batches: int) -> list[Draw]:
    return list(islice(stream, batches))


def test_every_epoch_shows_every_photo_once_in_another_order() -> None:
    labels = labels_of([7, 9, 4])
    draws = run(SampleStream(labels, batch=6, seed=3), 10)  # 60 places: three epochs of 20
    index = np.concatenate([d.index for d in draws])
    epoch = np.concatenate([d.epoch for d in draws])
    for number in range(3):
        assert sorted(index[epoch == number]) == list(range(20))
    assert (index[:20] != index[20:40]).any()
    other = np.concatenate([d.index for d in run(SampleStream(labels, batch=6, seed=4), 10)])
    assert (other != index).any()
    assert [d.position for d in draws] == list(range(6, 61, 6))


@pytest.mark.parametrize(("balance", "together"), [(0.0, 1), (0.7, 1), (0.0, 4)])
def test_ranks_share_a_batch_and_a_stop_changes_nothing(balance: float, together: int) -> None:
    labels = labels_of([50, 3, 20, 11, 2])
    fixed: dict[str, Any] = {"batch": 12, "seed": 5, "class_balance": balance, "together": together}
    make = lambda **k: SampleStream(labels, **fixed, **k)  # noqa: E731
    whole = [(d.index, d.epoch, d.repeat) for d in run(make(), 30)]
    for world in (2, 3, 4):
        ranks = [run(make(rank=r, world=world), 30) for r in range(world)]
        for step, (index, epoch, repeat) in enumerate(whole):
            parts = [ranks[r][step] for r in range(world)]
            assert (np.concatenate([p.index for p in parts]) == index).all()
            assert (np.concatenate([p.epoch for p in parts]) == epoch).all()
            assert (np.concatenate([p.repeat for p in parts]) == repeat).all()
    # stop in the middle of an epoch with one rank, go on with three
    position = run(make(), 11)[-1].position
    rest = [run(make(rank=r, world=3, position=position), 19) for r in range(3)]
    for step in range(19):
        joined = np.concatenate([rest[r][step].index for r in range(3)])
        assert (joined == whole[11 + step][0]).all()


def test_photos_of_one_identity_follow_one_another() -> None:
    labels = np.concatenate([labels_of([9, 4, 3, 1]), np.full(7, -1)])
    orders = []
    for epoch in (0, 1):
        stream = SampleStream(labels, batch=len(labels), seed=2, together=4,
                              position=epoch * len(labels))  # fmt: skip
        index = stream.take().index
        assert sorted(index) == list(range(len(labels)))
        known = labels[index]
        starts = np.flatnonzero(np.diff(known, prepend=-2) | (known < 0))
        sizes = Counter(zip(known[starts].tolist(), np.diff([*starts, 24]).tolist(), strict=True))
        singles = {key: count for key, count in sizes.items() if key[0] < 0}
        assert singles == {(-1, 1): 7}
        for person, photos in enumerate((9, 4, 3, 1)):  # runs of four and what is left
            runs = [size for (who, size), n in sizes.items() for _ in range(n) if who == person]
            assert sum(runs) == photos and len(runs) <= -(-photos // 4)
        orders.append(index.tolist())
    assert orders[0] != orders[1]


def test_balance_moves_from_photos_to_identities() -> None:
    counts = [100, 10, 5, 2]
    labels = labels_of(counts)
    for balance in (0.0, 0.5, 1.0):
        stream = SampleStream(labels, batch=117, seed=1, class_balance=balance)
        draws = run(stream, 200)
        index = np.concatenate([d.index for d in draws])
        seen = np.bincount(labels[index], minlength=4) / len(index)
        weights = np.array(counts, float) ** (1 - balance)
        assert seen == pytest.approx(weights / weights.sum(), abs=2e-3)
        for draw in draws[:20]:  # within an epoch photos of one identity take turns
            times = Counter(draw.index.tolist())
            for c in range(4):
                used = [times[p] for p in np.flatnonzero(labels == c)]
                assert max(used) - min(used) <= 1
            assert len(set(zip(draw.index.tolist(), draw.repeat.tolist(), strict=True))) == 117


def test_streams_refuse_what_cannot_be_divided() -> None:
    with pytest.raises(ConfigError, match="use 9 or 12"):
        SampleStream(labels_of([5]), batch=10, seed=1, world=3)
    with pytest.raises(ConfigError, match="no photo"):
        SampleStream(labels_of([]), batch=10, seed=1)


def test_batches_chosen_elsewhere_get_a_view_for_every_repeat() -> None:
    draw = Draw.of([4, 7, 4, 1, 4, 7], epoch=2, position=6)
    assert draw.repeat.tolist() == [0, 0, 1, 0, 2, 1]
    assert set(draw.epoch.tolist()) == {2}


@dataclasses.dataclass
class Marker:
    """A view that writes what it was asked for into the picture."""

    clean = 0.0

    def plain(self, canvas: Any, view: Any, **place: int) -> Any:
        return view

    def __call__(self, canvas: Any, *, epoch: int, index: int, repeat: int = 0) -> Any:
        view = centre(canvas, 112).copy()
        view[0, 0] = (epoch, index, repeat)
        return view


def batches(data: TrainData, config: DataConfig, count: int = 12, **stream: Any) -> list[Batch]:
    draws = SampleStream(data.train.labels, batch=config.batch, seed=2, **stream)
    with BatchLoader(data.train, islice(draws, count), Marker(), config) as loader:
        return list(loader)


def same(a: list[Batch], b: list[Batch]) -> None:
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x.images, y.images)
        assert torch.equal(x.labels, y.labels)
        assert np.array_equal(x.index, y.index)


def test_workers_change_nothing_but_the_speed(photos: list[Photo], tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", photos)
    plain = settings(tar)
    data = open_data(plain)
    expected = batches(data, plain)
    for image, label, index in zip(
        expected[0].images, expected[0].labels, expected[0].index, strict=True
    ):
        assert image.shape == (3, 112, 112)
        assert image[:, 0, 0].tolist() == [0, index, 0]
        pixels = centre(data.train.store.read(int(data.train.rows[index])), 112).copy()
        pixels[0, 0] = (0, index, 0)
        assert (image.permute(1, 2, 0).numpy() == pixels).all()
        assert label == data.train.labels[index]
    assert expected[0].images.is_contiguous(memory_format=torch.channels_last)
    threads = plain.but(workers=3, prefetch=5)
    same(expected, batches(data, threads))
    processes = plain.but(workers=1, worker_kind="process")
    same(expected, batches(data, processes))
    memory = threads.but(cache="memory")
    cached = open_data(memory)
    same(expected, batches(cached, memory))
    cached.train.store._decode = refuse  # type: ignore[method-assign]
    same(expected[:7], batches(cached, memory, count=7))  # from memory alone


def test_all_workers_work_however_few_batches_are_made_ahead(
    photos: list[Photo], tmp_path: Path
) -> None:
    together = threading.Barrier(6, timeout=20)

    class Meeting(Marker):
        def __call__(self, canvas: Any, **place: int) -> Any:
            together.wait()
            return super().__call__(canvas, **place)

    config = settings(write_tar(tmp_path / "a.tar", photos), workers=6, prefetch=2, batch=1)
    data = open_data(config)
    draws = SampleStream(data.train.labels, batch=1, seed=2)
    with BatchLoader(data.train, islice(draws, 6), Meeting(), config) as loader:
        assert len(list(loader)) == 6


def refuse(row: int) -> Any:
    raise AssertionError(f"row {row} was decoded twice")


def test_memory_that_is_not_there_is_refused(
    photos: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar = write_tar(tmp_path / "a.tar", photos)
    monkeypatch.setattr("arcid.train.data.store._memory_bytes", lambda: 1e6)
    with pytest.raises(ConfigError, match=r"cache=memory needs .* for 58 photos"):
        open_data(settings(tar, cache="memory"))


def spoil(photos: list[Photo], which: Callable[[int, str], bool]) -> list[Photo]:
    return [
        (who, name, data[:40] if which(i, who) else data)
        for i, (who, name, data) in enumerate(photos)
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_photos_are_replaced_by_the_same_person_and_reported(
    photos: list[Photo], tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    bad = {5, 23, 40}
    tar = write_tar(tmp_path / "a.tar", spoil(photos, lambda i, _: i in bad))
    config = settings(tar, workers=workers, max_corrupt=0.1)
    data = open_data(config)
    draws = SampleStream(data.train.labels, batch=8, seed=2)
    loader = BatchLoader(data.train, draws, None, config)
    with caplog.at_level(logging.WARNING), loader:
        seen = list(islice(loader, 16))  # two epochs and more
    assert {key.rpartition("/")[2] for key in loader.faults.reasons} == {photos[i][1] for i in bad}
    assert loader.faults.lines()[0] == "3 photos were passed over"
    assert "damaged" in loader.faults.lines()[1]
    told = [r.getMessage() for r in caplog.records if r.name == "arcid.train.data.store"]
    assert len(told) == 3 and all("a/" in line and "damaged" in line for line in told)
    asked = list(islice(SampleStream(data.train.labels, batch=8, seed=2), 16))
    replaced = 0
    for batch, draw in zip(seen, asked, strict=True):
        assert batch.images.shape[0] == 8
        assert (batch.labels.numpy() == data.train.labels[draw.index]).all()
        assert (batch.images.numpy().std(axis=(1, 2, 3)) > 5).all()
        replaced += int((batch.index != draw.index).sum())
    assert replaced >= 3


def test_too_many_corrupt_photos_end_the_run(photos: list[Photo], tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", spoil(photos, lambda i, _: i % 3 == 1))
    config = settings(tar, workers=2)
    data = open_data(config)
    assert len(data.report.faults) > 0  # the probe has met some and says so
    assert any("passed over" in line for line in data.report.lines())
    draws = SampleStream(data.train.labels, batch=8, seed=2)
    with (
        BatchLoader(data.train, draws, None, config) as loader,
        pytest.raises(DatasetInvalid, match=r"of 58 photos cannot be used.*max_corrupt=0\.01"),
    ):
        list(islice(loader, 20))


def test_a_person_without_one_readable_photo_is_stood_in_for(
    photos: list[Photo], tmp_path: Path
) -> None:
    tar = write_tar(tmp_path / "a.tar", spoil(photos, lambda _, who: who == "n2"))
    config = settings(tar)
    data = open_data(config)
    lost = data.classes.index("a/n2")
    draws = SampleStream(data.train.labels, batch=58, seed=2)
    with BatchLoader(data.train, draws, None, config) as loader:
        (batch,) = islice(loader, 1)
    assert lost not in batch.labels
    assert (batch.labels.numpy() == data.train.labels[batch.index]).all()
    assert len(loader.faults) == 3


def test_a_shard_that_vanishes_while_training_is_reported(
    photos: list[Photo], tmp_path: Path
) -> None:
    root = write_folder(tmp_path / "f", photos)
    config = settings(root, max_corrupt=1.0)
    data = open_data(config)
    gone = next(p for p in photos if p[0] == "n3")
    (root / gone[0] / gone[1]).unlink()
    draws = SampleStream(data.train.labels, batch=58, seed=2)
    with BatchLoader(data.train, draws, None, config) as loader:
        list(islice(loader, 1))
    assert list(loader.faults.reasons) == [f"f/{gone[0]}/{gone[1]}"]
    assert "No such file" in loader.faults.lines()[1]


def test_names_and_shared_files_survive_odd_content(tmp_path: Path) -> None:
    names = ["", "a", "Jürgen/ü.webp", "b" * 300, "\udcff.jpg"]
    assert list(Names.pack(names)) == names
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    file = SharedFile(path)
    assert file.read(10, 5) == bytes(range(10, 15))
    file.close()
    assert file.read(95, 50) == bytes(range(95, 100))
