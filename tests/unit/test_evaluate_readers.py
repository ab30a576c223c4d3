"""File layouts: real ones from the data folder, small ones elsewhere, broken ones named."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import resource
import shutil
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from arcid.errors import ContractMismatch, DatasetInvalid, InvalidArray, StorageFull, UsageError
from arcid.evaluate import readers, sources
from arcid.evaluate.cache import EmbeddingCache
from arcid.evaluate.embeddings import EmbeddingSet, Failure, failure_counts, load_embeddings
from arcid.evaluate.sources import EmbedCrops, Photo
from arcid.types import Crops, Embeddings, Template


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture " + name.encode())


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def jpeg(colour: tuple[int, int, int], size: int = 112) -> bytes:
    buffer = io.BytesIO()
    Pil.new("RGB", (size, size), colour).save(buffer, "JPEG")
    return buffer.getvalue()


# --- LFW and its kin -------------------------------------------------------------------------


@pytest.mark.data
def test_lfw_view_1(data_dir):
    lfw = data_dir / "data" / "lfw-dev"
    found = readers.read_lfw(lfw / "pairsDevTest.txt", lfw / "images")
    assert len(found) == 1000 and found.same.sum() == 500 and found.folds is None
    assert len(found.photos) == 1549
    a, b = found.first[0], found.second[0]
    assert found.unit_names[a] == "Abdullah_Gul/Abdullah_Gul_0013"
    assert found.unit_names[b] == "Abdullah_Gul/Abdullah_Gul_0014"
    people = found.person_numbers()
    np.testing.assert_array_equal(people[found.first] == people[found.second], found.same)


@pytest.mark.data
def test_lfw_view_1_train_over_crops(data_dir, tmp_path):
    lfw = data_dir / "data" / "lfw-dev"
    with tarfile.open(lfw / "train-chips.tar") as tar:
        names = {m.name for m in tar.getmembers() if m.isfile()}
    lines = (lfw / "pairsDevTrain.txt").read_text().splitlines()[1:]
    wanted = [line.split("\t") for line in lines]
    kept = []
    for fields in wanted:
        both = [(fields[0], fields[1]), (fields[0 if len(fields) == 3 else 2], fields[-1])]
        files = [f"{p}/{p}_{int(i):04d}.webp" for p, i in both]
        if all(f in names for f in files):
            kept.append((fields, files))
    same = [k for k in kept if len(k[0]) == 3][:40]
    diff = [k for k in kept if len(k[0]) == 4][:40]
    touch(tmp_path / "crops", *{f for k in same + diff for f in k[1]})
    text = "40\n" + "".join("\t".join(k[0]) + "\n" for k in same + diff)
    found = readers.read_lfw(write(tmp_path / "pairs.txt", text), tmp_path / "crops")
    assert len(found) == 80 and found.photos[0].source.suffix == ".webp"


class TestLfw:
    def folder(self, root: Path, text: str) -> readers.PairList:
        touch(root / "i", "A/A_0001.jpg", "A/A_0002.jpg", "B/B_0001.png", "B/B_0002.jpg")
        return readers.read_lfw(write(root / "pairs.txt", text), root / "i")

    def test_official_folds(self, tmp_path):
        text = "2\t1\nA\t1\t2\nA\t1\tB\t1\nB\t1\t2\nB\t2\tA\t2\n"
        found = self.folder(tmp_path, text)
        assert found.folds.tolist() == [0, 0, 1, 1]
        assert found.same.tolist() == [True, False, True, False]
        assert found.people == ("A", "A", "B", "B")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("2 1\nA 1 2\nA 1 B 1\nB 1 2\n", "promises 2 × 1 × 2 pairs, the file has 3"),
            ("1\nA 1 2\nA 1 B 7\n", r"pairs.txt line 3 names 'B/B_0007'"),
            ("1\nA 1\nA 1 B 1\n", r"pairs.txt line 2: expected person i j"),
            ("1\nA 1 x\nA 1 B 1\n", r"line 2: expected a whole number, got 'x'"),
            ("1\nA 1 2\nA 1 A 2\n", r"line 3: a pair of two people names 'A' twice"),
            ("ten\n", "line 1: expected a whole number"),
            ("", "is empty"),
            ("1\n../../x 1 2\nA 1 B 1\n", "leads out"),
        ],
    )
    def test_broken_lists_name_file_and_line(self, tmp_path, text, message):
        with pytest.raises(DatasetInvalid, match=message):
            self.folder(tmp_path, text)

    def test_missing_file(self, tmp_path):
        with pytest.raises(DatasetInvalid, match=r"nowhere\.txt cannot be opened"):
            readers.read_lfw(tmp_path / "nowhere.txt", tmp_path)

    def test_not_text(self, tmp_path):
        (tmp_path / "pairs.txt").write_bytes(b"1\n\xff\xfe\x00")
        with pytest.raises(DatasetInvalid, match="is not text"):
            readers.read_lfw(tmp_path / "pairs.txt", tmp_path)


def test_two_line_list_as_calfw_and_cplfw_have(tmp_path):
    touch(tmp_path / "i", "A_B_0001.jpg", "A_B_0002.jpg", "C_0001.jpg", "C_0002.jpg")
    text = (
        "A_B_0001.jpg 1\nA_B_0002.jpg 1\nC_0001.jpg 2\nC_0002.jpg 2\n"
        "A_B_0001.jpg 0\nC_0001.jpg 0\nA_B_0002.jpg 0\nC_0002.jpg 0\n"
    )
    path = write(tmp_path / "pairs_CALFW.txt", text)
    found = readers.read_two_line_list(path, tmp_path / "i", name="calfw", folds=2)
    assert found.same.tolist() == [True, True, False, False]
    assert found.folds.tolist() == [0, 1, 0, 1]
    broken = write(tmp_path / "b.txt", "A_B_0001.jpg 1\nA_B_0002.jpg 0\n")
    with pytest.raises(DatasetInvalid, match="lines 1 and 2"):
        readers.read_two_line_list(broken, tmp_path / "i", name="calfw")
    lies = write(tmp_path / "c.txt", "A_B_0001.jpg 1\nC_0001.jpg 1\n")
    with pytest.raises(DatasetInvalid, match="line 1: the mark 1 contradicts"):
        readers.read_two_line_list(lies, tmp_path / "i", name="calfw")


def test_labelled_list(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    found = readers.read_labelled_list(
        write(tmp_path / "l.txt", "a.jpg b.jpg 1\nb.jpg c.jpg 0\n"), tmp_path, name="agedb"
    )
    people = found.person_numbers()
    assert people[0] == people[1] != people[2]
    with pytest.raises(DatasetInvalid, match=r"line 1: expected 'photo photo 0\|1'"):
        readers.read_labelled_list(write(tmp_path / "m.txt", "a.jpg b.jpg\n"), tmp_path, name="x")


def cfp(root: Path) -> Path:
    photos = [f"Data/Images/{p:03d}/{kind}/{i:02d}.jpg"
              for p in (1, 2) for kind in ("frontal", "profile") for i in (1, 2)]  # fmt: skip
    touch(root, *photos)
    for kind, letter in (("frontal", "F"), ("profile", "P")):
        listed = [p for p in photos if kind in p]
        write(root / f"Protocol/Pair_list_{letter}.txt",
              "".join(f"{i} ../{p}\n" for i, p in enumerate(listed, 1)))  # fmt: skip
    for protocol in ("FF", "FP"):
        for fold in ("01", "02"):
            folder = root / "Protocol/Split" / protocol / fold
            write(folder / "same.txt", "1,2\n3,4\n")
            write(folder / "diff.txt", "1,3\n4,2\n")
    return root


def test_cfp(tmp_path):
    root = cfp(tmp_path)
    found = readers.read_cfp(root, "FP")
    assert found.folds.tolist() == [0] * 4 + [1] * 4
    assert found.unit_names[found.first[0]] == "Data/Images/001/frontal/01.jpg"
    assert found.unit_names[found.second[0]] == "Data/Images/001/profile/02.jpg"
    frontal = readers.read_cfp(root, "FF")
    assert all("frontal" in n for n in frontal.unit_names)
    write(root / "Protocol/Split/FP/02/diff.txt", "1,3\n1,9\n")
    with pytest.raises(DatasetInvalid, match=r"FP/02/diff\.txt line 2: photo 9"):
        readers.read_cfp(root, "FP")


def test_ytf(tmp_path):
    frames = [f"{v}/{v.split('/')[1]}.{i}.jpg" for v in ("A/0", "A/1", "B/0") for i in (9, 10, 100)]
    touch(tmp_path / "f", *frames, "A/0/._0.9.jpg")
    text = (
        "split number, first name, second name, Similarity , is same\n"
        "1, A/0, A/1, 1 , 1\n1, A/0, B/0, 2, 0\n2, A/1, A/0, 1, 1\n2, B/0, A/1, 1, 0\n"
    )
    found = readers.read_ytf(write(tmp_path / "splits.txt", text), tmp_path / "f")
    assert len(found.units) == 3 and found.folds.tolist() == [0, 0, 1, 1]
    names = [found.photos[i].name for i in found.units[0]]
    assert names == ["A/0/0.9.jpg", "A/0/0.10.jpg", "A/0/0.100.jpg"]  # in frame order
    few = readers.read_ytf(tmp_path / "splits.txt", tmp_path / "f", max_frames=2)
    assert [len(u) for u in few.units] == [2, 2, 2]
    shutil.rmtree(tmp_path / "f/B")
    with pytest.raises(DatasetInvalid, match=r"line 3 names the video 'B/0'"):
        readers.read_ytf(tmp_path / "splits.txt", tmp_path / "f")


@pytest.mark.data
def test_deepface_master_csv(data_dir):
    folder = data_dir / "data" / "deepface-pairs"
    found = readers.read_pairs_csv(folder / "master.csv", folder)
    assert len(found) == 300 and found.same.sum() == 38 and len(found.photos) == 25
    people = found.person_numbers()
    np.testing.assert_array_equal(people[found.first] == people[found.second], found.same)


def test_broken_csv(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    for text, message in (
        ("file_x,file_y,Decision\na.jpg,b.jpg,maybe\n", "line 2: the label 'maybe'"),
        ("file_x,file_y,Decision\na.jpg,gone.jpg,No\n", "line 2 names 'gone.jpg'"),
        ("file_x,file_y,Decision\na.jpg\n", "line 2: 1 columns"),
        ("a.jpg,b.jpg,Yes\n", "line 1: expected a header"),
        ("file_x,file_y,Decision\na.jpg,b.jpg,Yes\n", "no pair of different people"),
        ("file_x,file_y,Decision\n", "holds no pairs"),
    ):
        with pytest.raises(DatasetInvalid, match=message):
            readers.read_pairs_csv(write(tmp_path / "p.csv", text), tmp_path).require_both_kinds()


# --- .bin ------------------------------------------------------------------------------------


@pytest.mark.data
def test_insightface_bin(data_dir):
    path = data_dir / "data" / "bin" / "small_lfw.bin"
    found = readers.read_bin(path)
    with path.open("rb") as file:
        pictures, flags = pickle.load(file)
    assert found.same.tolist() == [bool(f) for f in flags]
    for i, unit in enumerate(found.first.tolist()):
        assert found.photos[unit].source == pictures[2 * i].tobytes()
    assert found.folds.max() == 9


@pytest.mark.data
@pytest.mark.parametrize("cut", [0, 1, 60, 4000, 60_000, -2])
def test_truncated_bin_names_the_position(data_dir, tmp_path, cut):
    data = (data_dir / "data" / "bin" / "small_lfw.bin").read_bytes()
    short = tmp_path / "short.bin"
    short.write_bytes(data[:cut])
    with pytest.raises(DatasetInvalid, match=r"short\.bin is damaged or cut short at byte \d+ of"):
        readers.read_bin(short)


@pytest.mark.data
def test_damaged_bin_never_escapes_as_another_error(data_dir, tmp_path):
    data = bytearray((data_dir / "data" / "bin" / "small_lfw.bin").read_bytes())
    rng = np.random.default_rng(0)
    path = tmp_path / "noise.bin"
    for _ in range(300):
        noisy = bytearray(data)
        spots = rng.integers(0, 500, 3)
        for spot in spots:
            noisy[spot] = rng.integers(0, 256)
        path.write_bytes(noisy)
        with contextlib.suppress(DatasetInvalid):
            readers.read_bin(path)


class Evil:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


class TestCraftedBin:
    def run(self, tmp_path: Path, content: object) -> None:
        path = tmp_path / "evil.bin"
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
        with pytest.raises(DatasetInvalid):
            readers.read_bin(path)

    def test_a_call_is_refused_by_name_and_not_run(self, tmp_path):
        target = tmp_path / "ran"
        path = tmp_path / "evil.bin"
        path.write_bytes(pickle.dumps(([Evil(Path.touch, target)], [True])))
        with pytest.raises(DatasetInvalid, match="nothing of it was run"):
            readers.read_bin(path)
        assert not target.exists()

    def test_other_ways_in(self, tmp_path):
        target = tmp_path / "ran"
        command = f"touch {target}".encode()
        self.run(tmp_path, b"cposix\nsystem\n(V" + command + b"\ntR.")  # GLOBAL + REDUCE
        self.run(tmp_path, b"(V" + command + b"\niposix\nsystem\n.")  # INST
        self.run(tmp_path, b"cbuiltins\neval\n(V1\ntR.")
        self.run(tmp_path, b"\x80\x04\x8c\x05posix\x8c\x06system\x93.")  # STACK_GLOBAL
        self.run(tmp_path, b"Pid\n.")  # persistent id
        self.run(tmp_path, b"\x80\x02\x82\x01.")  # extension registry
        # an attribute of a known name must not be reachable
        self.run(tmp_path, b"\x80\x04\x8c\x05numpy\x8c\x12dtype.__init__.func\x93.")
        # BUILD on a stand-in must not change it
        self.run(tmp_path, b"c_codecs\nencode\n(dS'x'\nI1\nsb.")
        assert not target.exists()

    def test_arrays_of_objects_and_numbers_are_refused(self, tmp_path):
        self.run(tmp_path, ([np.array([{"a": 1}, None], object)] * 2, [True]))
        self.run(tmp_path, ([np.zeros(3, np.float64)] * 2, [True]))

    def test_wrong_shapes(self, tmp_path):
        self.run(tmp_path, ([b"a", b"b", b"c"], [True]))
        self.run(tmp_path, ([b"a", b"b"], ["yes"]))
        self.run(tmp_path, {"bins": []})
        self.run(tmp_path, [1, 2])

    @pytest.mark.parametrize("protocol", range(2, 6))
    def test_every_protocol_and_flag_kind_is_read(self, tmp_path, protocol):
        pictures = [jpeg((i * 20, 0, 0)) for i in range(8)]
        arrays = [np.frombuffer(p, np.uint8) for p in pictures]
        for bins, flags in (
            (pictures, [True, False, True, False]),
            (arrays, [np.True_, np.False_, np.True_, np.False_]),
            (pictures, np.array([True, False, True, False])),
        ):
            path = tmp_path / f"p{protocol}.bin"
            path.write_bytes(pickle.dumps((bins, flags), protocol))
            found = readers.read_bin(path)
            assert [p.source for p in found.photos] == pictures
            assert found.same.tolist() == [True, False, True, False]

    def test_python_2_strings(self, tmp_path):
        """As a Python 2 run wrote them: protocol 2 with byte strings."""
        body = b"\x80\x02]q\x00(U\x02aaU\x02abU\x02acU\x02ade]q\x01(\x88\x89e\x86."
        path = tmp_path / "py2.bin"
        path.write_bytes(body)
        found = readers.read_bin(path)
        assert [p.source for p in found.photos] == [b"aa", b"ab", b"ac", b"ad"]


# --- templates, distractors, folders, attacks ------------------------------------------------


def ijb(root: Path) -> Path:
    names = [f"{i}.jpg" for i in range(1, 7)]
    touch(root / "loose_crop", *names)
    meta = root / "meta"
    tids = [1, 1, 2, 3, 3, 4]
    rows = [f"{n} {t} {10 + i // 2}\n" for i, (n, t) in enumerate(zip(names, tids, strict=True))]
    write(meta / "ijbc_face_tid_mid.txt", "".join(rows))
    points = " ".join(str(v) for v in (46.0, 62.0, 87.0, 60.0, 68.0, 77.0, 52.0, 99.0, 86.0, 98.0))
    write(meta / "ijbc_name_5pts_score.txt", "".join(f"{n} {points} 0.99\n" for n in names))
    write(meta / "ijbc_template_pair_label.txt", "1 2 1\n1 3 0\n2 4 0\n")
    write(meta / "ijbc_1N_gallery_G1.csv", "TEMPLATE_ID,SUBJECT_ID,FILENAME\n1,100,a\n1,100,b\n")
    write(meta / "ijbc_1N_gallery_G2.csv", "TEMPLATE_ID,SUBJECT_ID,FILENAME\n3,300,a\n")
    write(meta / "ijbc_1N_probe_mixed.csv", "TEMPLATE_ID,SUBJECT_ID\n2,100\n4,300\n")
    return root


class TestIjb:
    def test_layout(self, tmp_path):
        found = readers.read_ijb(ijb(tmp_path), "IJBC")
        assert found.templates.tolist() == [1, 1, 2, 3, 3, 4]
        assert found.media.tolist() == [10, 10, 11, 11, 12, 12]
        assert found.pair_same.tolist() == [True, False, False]
        assert found.photos[0].points.shape == (5, 2) and found.faceness[0] == pytest.approx(0.99)
        assert found.galleries["G1"][0].tolist() == [1]
        assert found.probes[1].tolist() == [100, 300]

    @pytest.mark.parametrize(
        ("file", "text", "message"),
        [
            ("ijbc_template_pair_label.txt", "1 2 1\n1 x 0\n", "line 2: expected 'template"),
            ("ijbc_template_pair_label.txt", "1 2 1\n1 3\n2 4 0\n", "line 2: expected 'template"),
            ("ijbc_template_pair_label.txt", "1 2 1\n1 99 0\n", "line 2: template 99 has no photo"),
            ("ijbc_template_pair_label.txt", "1 2 5\n", "line 1: expected 'template"),
            ("ijbc_face_tid_mid.txt", "1.jpg 1\n", "line 1: expected 'photo template media'"),
            ("ijbc_name_5pts_score.txt", "1.jpg 1 2 3\n", "line 1: expected a photo, ten"),
            ("ijbc_1N_probe_mixed.csv", "T,S\n2,100\n77,1\n", "line 3: template 77 has no photo"),
        ],
    )
    def test_broken_lists(self, tmp_path, file, text, message):
        root = ijb(tmp_path)
        write(root / "meta" / file, text)
        with pytest.raises(DatasetInvalid, match=message):
            readers.read_ijb(root, "IJBC")

    def test_lists_in_different_order(self, tmp_path):
        root = ijb(tmp_path)
        path = root / "meta" / "ijbc_name_5pts_score.txt"
        lines = path.read_text().splitlines(keepends=True)
        write(path, "".join([lines[1], lines[0], *lines[2:]]))
        with pytest.raises(DatasetInvalid, match=r"line 1: '2\.jpg' is not the photo"):
            readers.read_ijb(root, "IJBC")


def test_megaface_lists_and_features(tmp_path):
    listed = {"path": ["A/A_1.png", "A/A_2.png", "B/B_1.png"], "id": ["A", "A", "B"]}
    probes = write(tmp_path / "fs.json", json.dumps(listed))
    far = write(tmp_path / "mf_lst", "r/1/2/x.jpg\nr/1/2/y.jpg\nr/1/3/x.jpg\n")
    probe_noises = write(tmp_path / "n1", "# comment\nA_2.png\n")
    far_noises = write(tmp_path / "n2", "#\n7\t1/2/x.jpg\n")
    found = readers.read_megaface(
        probes, far, probe_noises=probe_noises, distractor_noises=far_noises
    )
    assert found.probes == ("A/A_1.png", "B/B_1.png") and found.people == ("A", "B")
    assert found.distractors == ("r/1/2/y.jpg", "r/1/3/x.jpg")
    assert (found.noisy_probes, found.noisy_distractors) == (1, 1)

    feature = np.arange(4, dtype="<f4")
    path = tmp_path / "f.bin"
    path.write_bytes(struct.pack("<4i", 4, 1, 4, 5) + feature.tobytes())
    np.testing.assert_array_equal(readers.read_matio(path), feature)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DatasetInvalid, match="not a float feature"):
        readers.read_matio(path)


def test_people_folder(tmp_path):
    touch(tmp_path / "d", "A/1.jpg", "A/2.png", "B/sub/1.webp", "B/readme.txt")
    touch(tmp_path / "d", "A/._1.jpg", "B/sub/._1.webp", "B/.cache/1.jpg")  # of other systems
    found = readers.read_people(tmp_path / "d")
    assert found.people == ("A", "A", "B")
    assert found.by_person() == {"A": [0, 1], "B": [2]}
    (tmp_path / "d" / "C").mkdir()
    with pytest.raises(DatasetInvalid, match="folder of 'C' holds no picture"):
        readers.read_people(tmp_path / "d")
    assert len(readers.read_people(tmp_path / "d", allow_empty=True).photos) == 3
    with pytest.raises(DatasetInvalid, match="holds 1 people"):
        touch(tmp_path / "one", "A/1.jpg", "A/2.jpg")
        readers.read_people(tmp_path / "one")


def test_pad_list(tmp_path):
    text = "file,species,score,subject\na,bona_fide,0.9,1\nb,print,0.2,1\nc,print,,2\n"
    found = readers.read_pad(write(tmp_path / "p.csv", text))
    assert found.species == (None, "print", "print") and found.scores == (0.9, 0.2, None)
    for bad, message in (
        ("file,species\na,bona_fide\n", "line 1: columns"),
        ("file,species,score\na,print,0.5\n", "no bona fide"),
        ("file,species,score\na,bona_fide,high\n", "line 2: the score 'high'"),
        ("file,species,score\na,,1\n", "line 2: the species is empty"),
    ):
        with pytest.raises(DatasetInvalid, match=message):
            readers.read_pad(write(tmp_path / "p.csv", bad))


# --- embeddings ------------------------------------------------------------------------------


class MeanColour:
    """(R, G, B) means as the vector: tells a swapped channel or a wrong row at once."""

    contract_id = "c" * 64
    dim, size = 3, 112
    template: Template = "arcface"

    def __init__(self) -> None:
        self.seen = 0

    def embed(self, crops: Crops) -> Embeddings:
        self.seen += len(crops)
        raw = crops.pixels.mean(axis=(1, 2)) + 1
        return Embeddings.normalised(raw, self.contract_id)


class TestEmbedding:
    def photos(self) -> list[Photo]:
        colours = [(200, 10, 10), (10, 200, 10), (10, 10, 200), (200, 10, 10)]
        found = [Photo(f"p{i}", jpeg(c)) for i, c in enumerate(colours)]
        return [*found, Photo("broken", b"not a picture"), Photo("gone", Path("/nowhere.jpg"))]

    def test_failures_stay_in_the_set(self):
        model = MeanColour()
        found = sources.embed_photos(self.photos(), EmbedCrops(model), batch=2)
        assert found.failed.tolist() == [False] * 4 + [True, True]
        assert found.vectors[:4].argmax(axis=1).tolist() == [0, 1, 2, 0]
        assert failure_counts(found) == {"image_unreadable": 2}
        assert model.seen == 3  # equal pictures once

    def test_cache(self, tmp_path):
        model = MeanColour()
        cache = EmbeddingCache(tmp_path / "c", model.contract_id, "aligned")
        first = sources.embed_photos(self.photos(), EmbedCrops(model), cache=cache)
        again = sources.embed_photos(self.photos()[::-1], EmbedCrops(model), cache=cache)
        assert model.seen == 3
        np.testing.assert_array_equal(again.vectors[::-1], first.vectors)
        assert again.failed[::-1].tolist() == first.failed.tolist()
        other = EmbeddingCache(tmp_path / "c", model.contract_id, "masked")
        sources.embed_photos(self.photos(), EmbedCrops(model), cache=other)
        assert model.seen == 6  # variants never mix
        assert cache.path.stat().st_mode & 0o077 == 0
        with pytest.raises(ContractMismatch):
            sources.embed_photos(
                [], EmbedCrops(model), cache=EmbeddingCache(tmp_path / "c", "other")
            )

    def test_damaged_cache(self, tmp_path):
        (tmp_path / "embeddings.sqlite").write_bytes(b"not a database" * 100)
        with pytest.raises(DatasetInvalid, match="delete it"):
            EmbeddingCache(tmp_path, "x")

    def test_a_cache_that_takes_no_more_is_not_to_be_deleted(self, tmp_path):
        cache = EmbeddingCache(tmp_path, "x")
        many = {f"{i:064}": np.ones(256, np.float32) for i in range(400)}
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(StorageFull, match="takes no more"):
                cache.put(many)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert cache.get(list(many)) == {}
        cache.path.rename(tmp_path / "kept")
        cache.path.mkdir()
        with pytest.raises(UsageError, match="cannot be written"):
            cache.get([])

    def test_an_embedder_that_refuses_a_photo_refuses_only_that_one(self):
        class Picky:
            contract_id = "c"

            def __call__(self, images):
                if any(b"bad" in bytes(i) for i in images):
                    raise InvalidArray("no face")
                return [Embeddings.normalised([[1.0, 2.0]], "c") for _ in images]

        photos = [Photo("a", b"1"), Photo("b", b"bad"), Photo("c", b"3")]
        found = sources.embed_photos(photos, Picky())
        assert found.failed.tolist() == [False, True, False]
        assert found.failures[1].code == "invalid_array"

    def test_answers_of_another_contract(self):
        class Mixed:
            contract_id = "c"

            def __call__(self, images):
                return [Embeddings.normalised([[1.0, 2.0]], "d") for _ in images]

        with pytest.raises(ContractMismatch):
            sources.embed_photos([Photo("a", b"1")], Mixed())

    def test_points_align_the_photo(self):
        from arcid.geometry import ARCFACE_TEMPLATE

        picture = np.zeros((300, 300, 3), np.uint8)
        picture[100:212, 50:162] = (9, 9, 250)
        points = ARCFACE_TEMPLATE + np.array([50, 100], np.float32)
        found = sources.embed_photos([Photo("a", picture, points)], EmbedCrops(MeanColour()))
        assert found.vectors[0, 2] > 0.99

    def test_centre_cut(self):
        crop = np.full((128, 128, 3), 255, np.uint8)
        crop[8:-8, 8:-8] = (250, 5, 5)
        found = sources.embed_photos([Photo("a", crop)], EmbedCrops(MeanColour(), centre=True))
        assert found.vectors[0, 0] > 0.99


class TestEmbeddingFiles:
    def test_round_trip(self, tmp_path):
        data = EmbeddingSet(
            ("a", "b"), np.array([[3.0, 4.0], [0, 0]]), "cid", {1: Failure("no_face_found", "")}
        )
        data.save(tmp_path / "e.npz")
        found = load_embeddings(tmp_path / "e.npz", contract_id="cid")
        np.testing.assert_allclose(found.vectors, [[0.6, 0.8], [0, 0]], atol=1e-6)
        assert found.failures[1].code == "no_face_found"
        with pytest.raises(ContractMismatch):
            load_embeddings(tmp_path / "e.npz", contract_id="other")
        with pytest.raises(DatasetInvalid, match="no photo 'z'"):
            found.rows(["a", "z"])

    @pytest.mark.parametrize("bad", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
    def test_rows_that_are_no_vectors_name_the_photo(self, tmp_path, bad):
        np.savez(tmp_path / "e.npz", vectors=np.array([[1.0, 0.0], bad]), names=["a", "b"],
                 contract_id="cid")  # fmt: skip
        with pytest.raises(InvalidArray, match=r"'b' \(row 2\)"):
            load_embeddings(tmp_path / "e.npz")

    def test_files_that_are_none(self, tmp_path):
        (tmp_path / "e.npz").write_bytes(b"PK\x03\x04 and then nothing")
        (tmp_path / "e.npy").write_bytes(pickle.dumps({"a": 1}))
        for name in ("e.npz", "e.npy", "absent.npz"):
            with pytest.raises(DatasetInvalid, match=name):
                load_embeddings(tmp_path / name)
        np.savez(tmp_path / "n.npz", vectors=np.eye(2))
        with pytest.raises(DatasetInvalid, match="lacks contract_id, names"):
            load_embeddings(tmp_path / "n.npz")
        with pytest.raises(InvalidArray, match="twice"):
            EmbeddingSet(("a", "a"), np.eye(2), "c")

    def test_flags_of_failed_rows_are_as_many_and_may_be_floats(self, tmp_path):
        file = {"vectors": np.eye(2), "names": ["a", "b"], "contract_id": "cid"}
        np.savez(tmp_path / "e.npz", **file, failed=np.array([0.0, 1.0]))  # as np.zeros makes them
        assert load_embeddings(tmp_path / "e.npz").failed.tolist() == [False, True]
        for flags in ([True], [False, False, True]):
            np.savez(tmp_path / "e.npz", **file, failed=np.array(flags))
            with pytest.raises(DatasetInvalid, match="names 2 photos, its failed has shape"):
                load_embeddings(tmp_path / "e.npz")

    def test_plain_array(self, tmp_path):
        np.save(tmp_path / "e.npy", np.eye(2))
        found = load_embeddings(tmp_path / "e.npy", names=["x", "y"])
        assert found.names == ("x", "y") and found.contract_id.startswith("file:")
