"""The audit of inversion: its numbers by other ways, who may be taken, and what the page says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.toys import LeftHalf, Squares  # noqa: E402
from tests.unit.inversions import Small, drawn, small_network  # noqa: E402

from arcid.apps.consented import AGREED_TO, consented_faces  # noqa: E402
from arcid.errors import DatasetInvalid  # noqa: E402
from arcid.events import Audit  # noqa: E402
from arcid.gallery import Gallery, NewConsent, NewFace  # noqa: E402
from arcid.models import weights  # noqa: E402
from arcid.protection import Consents  # noqa: E402
from arcid.train.invert import People, Settings  # noqa: E402
from arcid.train.invert.audit import Audited, Subjects, audit, write_report  # noqa: E402
from arcid.train.invert.audit.looks import look, on_ground  # noqa: E402
from arcid.train.invert.audit.measure import Seen, against, as_int8, frechet  # noqa: E402
from arcid.train.invert.audit.recognisers import Recogniser, TorchEmbedder, gather  # noqa: E402
from arcid.train.invert.audit.run import rotation  # noqa: E402
from arcid.train.weights.initial import Initial, open_initial  # noqa: E402
from arcid.types import Crops, Embeddings, FloatArray  # noqa: E402


def unit(count: int, dim: int, seed: int) -> FloatArray:
    drawn_ = np.random.default_rng(seed).standard_normal((count, dim))
    return np.asarray(drawn_ / np.linalg.norm(drawn_, axis=1, keepdims=True), np.float32)


def a_recogniser(calibrated: bool) -> Recogniser:
    calibration = weights.find_calibration(weights.resolve("arcid-face-s")) if calibrated else None
    return Recogniser("toy", "attacked", TorchEmbedder(Small(), "toy"), calibration)


def test_frechet_is_that_of_two_normal_distributions() -> None:
    """Against matrix square roots by eigenvalues, of more vectors than numbers and of fewer."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(6, 6))
    for count in (40, 4):
        a = rng.normal(size=(count, 6)) @ mix + 1.0
        b = rng.normal(size=(count + 3, 6)) * 2.0

        def root(matrix: Any) -> Any:
            values, vectors = np.linalg.eigh(matrix)
            return (vectors * np.sqrt(values.clip(0))) @ vectors.T

        first, second = np.cov(a.T), np.cov(b.T)
        half = root(first)
        expected = (
            ((a.mean(0) - b.mean(0)) ** 2).sum()
            + np.trace(first + second)
            - 2 * np.trace(root(half @ second @ half))
        )
        assert frechet(a, b) == pytest.approx(expected, rel=1e-6)
        assert frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_a_secret_rotation_keeps_cosines_and_hides_vectors() -> None:
    turn = rotation(64, 3)
    assert np.allclose(turn @ turn.T, np.eye(64), atol=1e-5)
    assert np.array_equal(turn, rotation(64, 3)) and not np.array_equal(turn, rotation(64, 4))
    vectors = unit(5, 64, 0)
    turned = vectors @ turn
    assert np.allclose(turned @ turned.T, vectors @ vectors.T, atol=1e-5)
    assert np.abs((turned * vectors).sum(1)).max() < 0.6


def test_eight_bits_keep_a_vector() -> None:
    vectors = unit(50, 256, 1)
    back = as_int8(vectors)
    assert 0.9998 < (back * vectors).sum(1).min() < 1
    assert all(len(np.unique(row)) <= 255 for row in back)


def test_rates_are_counted_at_the_calibrated_thresholds() -> None:
    recogniser = a_recogniser(calibrated=True)
    assert recogniser.calibration is not None
    photos, others = unit(12, 32, 5), unit(12, 32, 6)
    low, high = (recogniser.calibration.threshold_at_fmr(f).cosine for f in (1e-4, 1e-3))
    assert high < low
    between = (low + high) / 2
    side = others - (others * photos).sum(1, keepdims=True) * photos
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    others = between * photos + np.sqrt(1 - between**2) * side  # genuine: between the thresholds
    pictures = np.concatenate([photos[:3], -others[3:4]])  # three perfect copies, one opposite
    found = against(recogniser, Seen(pictures, photos, others))
    loose, strict = found.points
    assert (loose.target_fmr, strict.target_fmr) == (1e-3, 1e-4)
    assert (loose.cosine_threshold, strict.cosine_threshold) == (high, low)
    assert loose.source == "calibration"
    assert (loose.same.count, loose.same.trials) == (3, 4)
    assert (loose.other.count, strict.other.count) == (3, 0)
    assert (loose.genuine.count, strict.genuine.count, loose.genuine.trials) == (12, 0, 12)
    made = pictures.astype(float) @ others.T.astype(float)
    strangers = made[~np.eye(4, 12, dtype=bool)]
    assert (loose.stranger.count, loose.stranger.trials) == ((strangers >= high).sum(), 44)
    real = photos.astype(float) @ others.T.astype(float)
    assert loose.impostor.count == (real[~np.eye(12, dtype=bool)] >= high).sum()
    assert loose.impostor.trials == 12 * 11
    for point in found.points:
        for rate in (point.same, point.other, point.genuine, point.impostor, point.stranger):
            assert rate.low <= rate.value <= rate.high
    assert found.cosines["other"] == pytest.approx(np.diag(made).mean())
    assert found.rank1.count == (made.argmax(1) == np.arange(4)).sum() and found.gallery == 12
    assert found.to_dict()["chance"] == pytest.approx(1 / 12)


def test_without_calibration_only_supported_rates_have_a_threshold() -> None:
    photos, others = unit(60, 32, 5), unit(60, 32, 6)
    found = against(a_recogniser(calibrated=False), Seen(photos[:5], photos, others))
    (point,) = found.points
    assert (point.target_fmr, point.source) == (1e-3, "these people")
    assert point.impostor.count <= 1e-3 * 60 * 59
    assert len(found.unsupported) == 1 and "1.0e-04" in found.unsupported[0]


class Middle:
    """A vector from the mean colour of a crop."""

    contract_id = "toy" * 10
    dim, size, template = 3, 112, "arcface"

    def embed(self, crops: Crops) -> Embeddings:
        means = crops.pixels.reshape(len(crops), -1, 3).mean(axis=1)
        return Embeddings.normalised(means, self.contract_id)


def test_pictures_are_held_up_to_detector_and_liveness() -> None:
    face = np.full((40, 40, 3), (200, 40, 40), np.uint8)
    nothing = np.full((40, 40, 3), 90, np.uint8)
    assert on_ground(face).shape == (100, 100, 3) and (on_ground(face)[30:70, 30:70] == face).all()
    vector = np.array([[200, 40, 40]] * 2, np.float32)
    vector /= np.linalg.norm(vector[0])
    found = look(np.stack([face, nothing]), vector, Squares(), Middle(), LeftHalf())  # type: ignore[arg-type]
    assert (found.found.count, found.found.trials) == (1, 2)
    assert found.cosine is not None and found.cosine > 0.9
    assert found.live is not None and (found.live.count, found.live.trials) == (0, 1)
    blind = look(nothing[None], vector[:1], Squares(), Middle(), None)  # type: ignore[arg-type]
    assert blind.cosine is None and blind.live is None and blind.found.count == 0


@pytest.fixture(scope="module")
def subjects() -> Subjects:
    names = tuple(f"Secret Name {i}" for i in range(6))
    photos, others = drawn(6, seed=70), drawn(6, seed=71)
    return Subjects(People(names, photos, others, "drawn"), 3, "synthetic")


@pytest.fixture(scope="module")
def audited(subjects: Subjects, tmp_path_factory: pytest.TempPathFactory) -> tuple[Audited, Path]:
    out = tmp_path_factory.mktemp("audit")
    backbone = small_network()
    initial = Initial(backbone, "small", {"size": 32}, "checkpoint", "step-00000001")
    done = audit(
        initial, subjects, out, Settings(steps=60, batch=3, jitter=1), others=("none_such",)
    )
    assert done is not None
    write_report(done, out, {"date": "2026-11-29"})
    return done, out


def test_the_audit_says_what_it_did(audited: tuple[Audited, Path]) -> None:
    done, out = audited
    assert done.inverted.cosines.mean() > 0.8
    (own,) = done.recognisers
    assert own.role == "attacked" and own.cosines["same"] > 0.8
    assert done.rotated_count == 3
    assert done.rotated.cosines["same"] < own.cosines["same"] - 0.4
    assert done.frechet["pictures"] > 0 and done.int8_cosine > 0.999
    record = json.loads((out / "report.json").read_text("utf-8"))
    assert record["kind"] == "inversion" and record["basis"] == "synthetic"
    assert record["rotated"]["attacked"] == 3 and "none_such" in record["missing"][0]
    assert record["measured"] == {"date": "2026-11-29"} and record["store"] is None


def test_the_page_has_no_name_and_no_picture(audited: tuple[Audited, Path]) -> None:
    _, out = audited
    page = (out / "report.html").read_text("utf-8")
    assert "Secret" not in page and "data:image" not in page
    assert "Secret" not in (out / "report.json").read_text("utf-8")
    for sentence in (
        "synthetic faces of nobody",
        "this attack asks no service",
        "makes better pictures",
        "not the FID of the literature",
        "Not measured with none_such (not installed).",
    ):
        assert sentence in page


def test_an_audit_that_was_interrupted_goes_on(
    subjects: Subjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after a step; then the same call makes what was left."""
    from arcid.train.engine.interrupt import Interrupt
    from arcid.train.invert.batch import Batch

    initial = Initial(small_network(), "small", {"size": 32}, "checkpoint", "step-00000001")
    settings = Settings(steps=5, batch=3)
    with monkeypatch.context() as patched:
        patched.setattr(Interrupt, "__init__", lambda self: setattr(self, "_before", {}))
        patched.setattr(Interrupt, "asked", property(lambda self: taken >= 2), raising=False)
        taken, advance = 0, Batch.advance

        def counted(self: Batch, prior: Any) -> float:
            nonlocal taken
            taken += 1
            return advance(self, prior)

        patched.setattr(Batch, "advance", counted)
        assert audit(initial, subjects, tmp_path, settings, others=()) is None
    assert (tmp_path / "pictures/state.pt").is_file() and not (tmp_path / "rotated").exists()
    done = audit(initial, subjects, tmp_path, settings, others=())
    assert done is not None and len(done.inverted.pictures) == 3
    with pytest.raises(DatasetInvalid, match="too few to audit"):
        audit(initial, replace(subjects, people=subjects.people.first(1)), tmp_path / "no")


def test_a_bundle_is_shown_to_its_int8_form_and_the_others_that_are_there() -> None:
    found, missing = gather(open_initial("arcid-face-s"), ["arcid-face-s-1", "none_such"])
    assert [(one.name, one.role) for one in found] == [
        ("arcid-face-s", "attacked"),
        ("arcid-face-s-int8", "int8"),
        ("arcid-face-s-1", "other"),
    ]
    assert all(one.calibration is not None for one in found)
    assert len(missing) == 1 and missing[0] == "none_such (not installed)"


def enrolled(gallery: Gallery, contract_id: str, dim: int) -> dict[str, str]:
    """People by what they agreed to, two kept faces each, but Dan one."""
    gallery.create_collection("staff", keep_crops=True)
    pictures, vectors = drawn(8, size=112, seed=9), unit(8, dim, 9)
    ids = {}
    for number, name in enumerate(("Ann", "Bob", "Cid", "Dan")):
        person = gallery.add_person("staff", name)
        faces = [
            NewFace(Embeddings(vectors[i : i + 1], contract_id), f"photo {i}", crop=pictures[i])
            for i in (2 * number, 2 * number + 1)[: 1 if name == "Dan" else 2]
        ]
        gallery.add_faces("staff", person.id, faces)
        ids[name] = person.id
    consents = Consents(gallery)
    consents.record("staff", ids["Ann"], NewConsent("v1", what="Inversion audit"))
    consents.record("staff", ids["Bob"], NewConsent("v1"))  # to being enrolled
    consents.record("staff", ids["Dan"], NewConsent("v1", what=AGREED_TO))
    return ids


def test_only_people_who_agreed_to_it_are_taken(database_url: str) -> None:
    with Gallery.open(database_url) as gallery:
        ids = enrolled(gallery, "c" * 64, 32)
        found = consented_faces(gallery, "staff", "c" * 64, size=112, limit=10)
        assert found.names == (ids["Ann"],) and (found.refused, found.short) == (2, 1)
        pictures = drawn(8, size=112, seed=9)
        assert np.array_equal(found.photos[0], pictures[0])
        assert np.array_equal(found.others[0], pictures[1])
        assert (found.vectors[0] @ unit(8, 32, 9)[0]) > 0.999
        gallery_policy = Consents(gallery).of("staff", ids["Ann"])
        assert gallery_policy[0].withdrawn_at is None
        Consents(gallery).withdraw("staff", ids["Ann"])
        with pytest.raises(DatasetInvalid, match="no consent to it that stands"):
            consented_faces(gallery, "staff", "c" * 64, size=112, limit=10)


def test_the_command_refuses_people_of_whom_nothing_is_said(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    ran = cli("audit", "inversion")
    assert ran.code == 2 and "either --people DIR or --collection NAME" in ran.err
    ran = cli("audit", "inversion", "--people", tmp_path)
    assert ran.code == 2 and "--basis" in ran.err


def test_an_audit_that_was_stopped_says_so_as_asked(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SimpleNamespace(backbone=SimpleNamespace(size=112), manifest=None)
    monkeypatch.setattr("arcid.train.weights.initial.open_initial", lambda name: small)
    monkeypatch.setattr("arcid.train.invert.people.read_people", lambda *_: ["Ann", "Ben"])
    monkeypatch.setattr("arcid.train.invert.audit.Subjects", lambda *_: None)
    monkeypatch.setattr("arcid.train.invert.audit.audit", lambda *_, **__: None)
    words = ("audit", "inversion", "--people", "x", "--basis", "synthetic", "--out", "here")
    ran = cli(*words, "--json")
    assert (ran.code, ran.json) == (130, {"out": "here", "stopped": True})
    assert cli(*words).out == "stopped; run it again to go on\n"


@pytest.mark.slow
def test_a_collection_is_audited_and_the_trail_says_so(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    initial = open_initial("arcid-face-s")
    assert initial.manifest is not None and initial.manifest.contract_id is not None
    place = tmp_path / "gallery.db"
    with Gallery.open(str(place), create=True) as gallery:
        ids = enrolled(gallery, initial.manifest.contract_id, 256)
        Consents(gallery).record("staff", ids["Bob"], NewConsent("v2", what=AGREED_TO))
    ran = cli(
        "audit", "inversion", "--collection", "staff", "--database", place, "--count", "1",
        "--steps", "2", "--batch", "1", "--out", tmp_path / "out", "--other", "arcid-face-s-1",
        "--model", "arcid-face-s", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    answer = json.loads(ran.out)
    assert (answer["attacked"], answer["gallery"], answer["basis"]) == (1, 2, "consented")
    assert answer["store"]["encrypted"] in (True, False)
    assert answer["looks"]["photos"]["found"]["trials"] == 1
    with Gallery.open(str(place)) as gallery:
        (row,) = Audit(gallery).find(verb="audit.inversion")
    assert row.details == {"people": [ids["Ann"]], "compared": 2}
    page = Path(answer["report"]).read_text("utf-8")
    assert "people who agreed to it" in page and ids["Ann"] not in page
