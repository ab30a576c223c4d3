"""Protocols on real faces with a real recogniser, and on synthetic people with known answers."""

from __future__ import annotations

import json
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest

from arcid.embed import OnnxEmbedder
from arcid.errors import ContractMismatch, DatasetInvalid, InvalidArray, RateUnsupported
from arcid.evaluate import metrics, protocols, readers, sources
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.embeddings import EmbeddingSet, Failure
from arcid.evaluate.intervals import fmr_rate, operating_points
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.protocols import GallerySplit, SyntheticMask
from arcid.evaluate.readers import IjbMeta, PairList, PeopleFolder
from arcid.evaluate.readers._pairs import build
from arcid.evaluate.sources import EmbedCrops, Photo
from arcid.models import weights
from arcid.runtime import open_session

BROKEN = Failure("no_face_found", "none")


# --- synthetic people ------------------------------------------------------------------------


def faces(people: int, photos: int, spread: float = 1.0, dim: int = 32, seed: int = 0):
    """(vectors, labels): photos scattered about a random direction of each person."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, dim))
    labels = np.repeat(np.arange(people), photos)
    raw = centres[labels] + spread * rng.standard_normal((len(labels), dim))
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32), labels


def as_set(vectors, failed: tuple[int, ...] = (), contract: str = "c") -> EmbeddingSet:
    vectors = np.array(vectors, np.float32)
    vectors[list(failed)] = 0
    names = tuple(f"p{i}" for i in range(len(vectors)))
    return EmbeddingSet(names, vectors, contract, dict.fromkeys(failed, BROKEN))


def photos(count: int) -> list[Photo]:
    return [Photo(f"p{i}", b"") for i in range(count)]


def folder(labels) -> PeopleFolder:
    return PeopleFolder("set", tuple(photos(len(labels))), tuple(f"n{i}" for i in labels))


def pair_list(labels, pairs, folds=None, named: bool = True) -> PairList:
    rows = [(a, b, labels[a] == labels[b]) for a, b in pairs]
    people = [f"n{i}" for i in labels] if named else None
    return build("set", photos(len(labels)), rows, folds, people)


def some_pairs(labels, each: int, seed: int = 0) -> list[tuple[int, int]]:
    a, b = np.triu_indices(len(labels), 1)
    same = labels[a] == labels[b]
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.choice(np.flatnonzero(k), each, False) for k in (same, ~same)])
    return [(int(a[i]), int(b[i])) for i in rng.permutation(rows)]


# --- real faces ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedder(data_dir, tmp_path_factory) -> OnnxEmbedder:
    bundle = weights.resolve(str(data_dir / "models" / "mobilefacenet_128.onnx"))
    return OnnxEmbedder(open_session(bundle.path), bundle.manifest)


@pytest.fixture(scope="module")
def lfw_crops(data_dir, tmp_path_factory) -> PairList:
    """60 + 60 pairs of the View 1 train list whose photos come as crops."""
    lfw = data_dir / "data" / "lfw-dev"
    root = tmp_path_factory.mktemp("lfw")
    with tarfile.open(lfw / "train-chips.tar") as tar:
        members = {m.name: m for m in tar.getmembers()}
        kept: dict[int, list[str]] = {3: [], 4: []}
        for line in (lfw / "pairsDevTrain.txt").read_text().splitlines()[1:]:
            f = line.split("\t")
            named = [(f[0], f[1]), (f[0 if len(f) == 3 else 2], f[-1])]
            files = [f"{p}/{p}_{int(i):04d}.webp" for p, i in named]
            if len(kept[len(f)]) < 60 and all(n in members for n in files):
                kept[len(f)].append(line)
                for name in files:
                    tar.extract(members[name], root, filter="data")
    listing = root / "pairs.txt"
    listing.write_text("60\n" + "\n".join(kept[3] + kept[4]) + "\n")
    return readers.read_lfw(listing, root)


@pytest.fixture(scope="module")
def embedded(lfw_crops, embedder) -> EmbeddingSet:
    return sources.embed_photos(lfw_crops.photos, EmbedCrops(embedder, centre=True))


@pytest.mark.data
class TestRealFaces:
    def test_accuracy_is_what_the_model_is_known_for(self, lfw_crops, embedded):
        result = protocols.verify(lfw_crops, embedded)
        assert result.folds_from == "stratified" and len(result.folds.accuracies) == 10
        assert result.accuracy.value >= 0.96
        assert result.accuracy.low <= result.accuracy.value <= result.accuracy.high
        assert result.auc > 0.99 and result.d_prime > 3
        assert 0.1 < result.eer_threshold < 0.6
        assert [p.target_fmr for p in result.points] == [0.1]  # 60 impostors support no less
        json.dumps(result.to_dict(), allow_nan=False)

    def test_swapped_colours_do_worse(self, lfw_crops, embedder, embedded):
        swapped = sources.embed_photos(
            lfw_crops.photos,
            EmbedCrops(embedder, centre=True, transform=lambda c: c[..., ::-1].copy()),
        )
        right, wrong = (protocols.verify(lfw_crops, e).d_prime for e in (embedded, swapped))
        assert wrong < right

    def test_a_mask_costs_accuracy_and_leaves_the_eyes(self, lfw_crops, embedder, embedded):
        masked = sources.embed_photos(
            lfw_crops.photos, EmbedCrops(embedder, centre=True, transform=SyntheticMask("high"))
        )
        bare, covered = (protocols.verify(lfw_crops, e) for e in (embedded, masked))
        assert covered.d_prime < bare.d_prime - 0.5
        assert covered.accuracy.value > 0.65

    def test_another_threshold_decides_all_pairs(self, lfw_crops, embedded):
        result = protocols.verify(lfw_crops, embedded, threshold=0.99)
        assert result.accuracy.value == pytest.approx(0.5, abs=0.01)
        worst = result.mistakes(3)
        assert {m.kind for m in worst} == {"false_non_match"}
        json.dumps(result.to_dict(), allow_nan=False)
        assert worst[0].cosine == min(
            s for s, same in zip(result.pairs.scores, result.pairs.same, strict=True) if same
        )

    def test_folder_statistics_over_the_same_crops(self, lfw_crops, embedded):
        people = PeopleFolder("crops", lfw_crops.photos, lfw_crops.people)
        result = protocols.evaluate_folder(people, embedded)
        assert result.statistics.d_prime > 3
        assert result.points and result.points[0].tar.value > 0.95
        assert result.suspects(5)[0][2] == pytest.approx(
            result.statistics.highest_impostors.cosines[0]
        )

    def test_gallery(self, data_dir, embedder, tmp_path):
        with tarfile.open(data_dir / "data" / "train" / "vgg.tar") as tar:
            taken: dict[str, int] = {}
            for member in tar:
                person = member.name.split("/")[-2] if member.isfile() else ""
                if member.isfile() and taken.get(person, 0) < 8 and len(taken) <= 8:
                    taken[person] = taken.get(person, 0) + 1
                    tar.extract(member, tmp_path, filter="data")
                if len(taken) > 8:
                    break
        roots = {p.parent.parent for p in tmp_path.rglob("*.webp")}
        found = readers.read_people(roots.pop())
        chosen = protocols.split(found, people=6, enrol=4, probe=4, strangers=2)
        vectors = sources.embed_photos(found.photos, EmbedCrops(embedder, centre=True))
        result = protocols.evaluate_gallery(chosen, vectors)
        assert result.top[1].value > 0.8 and result.top[5].value >= result.top[1].value
        assert result.top[1].trials == 24
        json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.data
def test_deepface_pairs_beside_the_published_table(data_dir, embedder):
    """25 photos through a detector; the published row is another model's, on 276 of the pairs."""
    from arcid.pipeline import Pipeline, load_detector

    class Whole:
        contract_id = embedder.contract_id

        def __init__(self) -> None:
            self.pipeline = Pipeline(load_detector(), embedder)

        def __call__(self, images):
            found = self.pipeline.faces_batch(images, select="largest")
            return [f.embeddings if len(f) else BROKEN for f in (item.get() for item in found)]

    where = data_dir / "data" / "deepface-pairs"
    pairs = readers.read_pairs_csv(where / "master.csv", where)
    result = protocols.evaluate_pair_list(pairs, sources.embed_photos(pairs.photos, Whole()))
    assert set(result.distances) == {"cosine", "euclidean", "euclidean_l2"}
    inside, outside = result.distances["cosine"].in_sample, result.distances["cosine"].left_out
    assert inside.tp + inside.fn == 38 and inside.tn + inside.fp == 262
    assert inside.accuracy >= 0.97 and inside.precision >= 0.9
    assert outside.accuracy >= 0.93
    assert result.to_dict()["published"]["cosine"]["pairs"] == 276
    json.dumps(result.to_dict(), allow_nan=False)


# --- verification ----------------------------------------------------------------------------


class TestVerify:
    vectors, labels = faces(40, 4, 0.9)

    def test_folds_of_the_list_are_kept(self):
        pairs = some_pairs(self.labels, 100)
        folds = [i % 5 for i in range(200)]
        listed = pair_list(self.labels, pairs, folds)
        result = protocols.verify(listed, as_set(self.vectors))
        scores = np.array([self.vectors[a] @ self.vectors[b] for a, b in pairs])
        expected = metrics.kfold_accuracy(scores, listed.same, folds)
        assert result.accuracy.value == pytest.approx(expected.mean)
        np.testing.assert_allclose(result.folds.thresholds, expected.thresholds, atol=1e-6)
        np.testing.assert_allclose(result.pairs.scores, scores, atol=1e-6)

    def test_failed_photos_are_non_matches_and_counted(self):
        pairs = some_pairs(self.labels, 100)
        broken = pairs[0][0]
        listed = pair_list(self.labels, pairs)
        touched = np.array([broken in p for p in pairs])
        result = protocols.verify(listed, as_set(self.vectors, (broken,)))
        assert (result.pairs.scores[touched] == metrics.FAILED).all()
        assert not result.folds.accepted[touched].any()
        report = result.to_dict()
        assert report["failed_photos"] == 1 and report["failed_pairs"] == touched.sum()
        assert report["failures"] == {"no_face_found": 1}

    def test_the_best_model_cannot_hide_its_failures(self):
        perfect = np.eye(10, dtype=np.float32)[np.repeat(np.arange(10), 2)]
        labels = np.repeat(np.arange(10), 2)
        same = [(2 * i, 2 * i + 1) for i in range(10)]
        pairs = [*same, *((2 * i, (2 * i + 2) % 20) for i in range(10))]
        listed = pair_list(labels, pairs)
        assert protocols.verify(listed, as_set(perfect)).accuracy.value == 1.0
        failed = tuple(range(0, 10, 2))  # the first photo of five people
        result = protocols.verify(listed, as_set(perfect, failed))
        assert result.accuracy.value == pytest.approx(0.75)
        assert result.eer.value >= 0.25

    def test_nothing_could_be_embedded(self):
        listed = pair_list(self.labels, some_pairs(self.labels, 20))
        everything = tuple(range(len(self.labels)))
        report = protocols.verify(listed, as_set(self.vectors, everything)).to_dict()
        assert report["accuracy"] == 0.5 and report["d_prime"] is None
        assert report["eer"]["value"] >= 0.5
        assert all(p["tar"]["value"] == 0 for p in report["tar_at_fmr"])
        json.dumps(report, allow_nan=False)

    def test_video_units_average_their_frames(self):
        vectors = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [-1, 1], [1, -1]], np.float32)
        listed = PairList(
            "ytf", tuple(photos(6)), ((0, 1), (2,), (3,), (4,)), ("a", "b", "c", "d"),
            np.array([0, 0, 0]), np.array([1, 3, 2]), np.array([True, False, False]),
            None, ("x", "x", "y", "z"),
        )  # fmt: skip
        result = protocols.verify(listed, as_set(vectors, (3,)))
        assert result.pairs.scores[0] == pytest.approx(1.0)  # the mean of both axes
        assert result.pairs.scores[1] == pytest.approx(0.0, abs=1e-7)
        assert result.pairs.scores[2] == metrics.FAILED  # all its frames failed

    def test_photos_that_were_not_embedded(self):
        listed = pair_list(self.labels, some_pairs(self.labels, 20))
        with pytest.raises(DatasetInvalid, match="hold no photo"):
            protocols.verify(listed, as_set(self.vectors[:50]))

    def test_one_kind_of_pair(self):
        listed = pair_list(self.labels, [(0, 1), (4, 5)])
        with pytest.raises(DatasetInvalid, match="no pair of different people"):
            protocols.verify(listed, as_set(self.vectors))

    def test_unnamed_people_are_pieced_together(self):
        pairs = some_pairs(self.labels, 60)
        listed = pair_list(self.labels, pairs, named=False)
        result = protocols.verify(listed, as_set(self.vectors))
        assert (
            result.accuracy.value
            == protocols.verify(pair_list(self.labels, pairs), as_set(self.vectors)).accuracy.value
        )


class TestMask:
    def test_covers_the_lower_face_only_and_always_the_same(self):
        crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3)).astype(np.uint8)
        mask = SyntheticMask()
        masked = mask(crop)
        np.testing.assert_array_equal(masked[:58], crop[:58])  # the eyes
        assert (masked[75:100, 40:72] != crop[75:100, 40:72]).mean() > 0.95  # nose tip and mouth
        np.testing.assert_array_equal(masked, mask(crop))
        assert masked is not crop

    def test_size_and_colour(self):
        crop = np.zeros((224, 224, 3), np.uint8)
        masked = SyntheticMask("low", (255, 0, 0))(crop)
        assert masked[190, 112, 0] > 200 and masked[190, 112, 1] == 0
        assert masked[140, 112].sum() == 0  # the nose is free
        assert SyntheticMask("high", (255, 0, 0))(crop)[140, 112, 0] > 200


# --- all pairs -------------------------------------------------------------------------------


class TestAllPairs:
    vectors, labels = faces(60, 5, 0.8, seed=3)

    def exact(self):
        a, b = np.triu_indices(len(self.labels), 1)
        scores = (self.vectors.astype(np.float64) @ self.vectors.T.astype(np.float64))[a, b]
        return scores, self.labels[a] == self.labels[b], a, b

    @pytest.mark.parametrize("block", [16, 37, 64, 1000])
    def test_counts_are_exact_in_any_block_and_order(self, block):
        scores, same, _, _ = self.exact()
        order = np.random.default_rng(0).permutation(len(self.labels))
        found = protocols.all_pairs(self.vectors[order], self.labels[order], block=block)
        bins = np.rint(scores * 4096).astype(int) + 4200
        for histogram, kind in ((found.genuine, same), (found.impostor, ~same)):
            expected = np.bincount(bins[kind], minlength=8400)
            assert histogram.total == kind.sum()
            # a score on the edge of a bin may fall either way in float32
            assert np.abs(np.cumsum(histogram.counts - expected)).max() <= 2

    def test_extreme_pairs_are_exact(self):
        scores, same, _, _ = self.exact()
        found = protocols.all_pairs(self.vectors, self.labels, top=50, block=64)
        highest = np.sort(scores[~same])[::-1][:50]
        np.testing.assert_allclose(found.highest_impostors.cosines, highest, atol=1e-6)
        top = found.highest_impostors
        direct = np.einsum("md,md->m", self.vectors[top.first], self.vectors[top.second])
        np.testing.assert_allclose(direct, top.cosines, atol=1e-6)
        assert (self.labels[top.first] != self.labels[top.second]).all()
        np.testing.assert_allclose(found.lowest_genuine.cosines, np.sort(scores[same]), atol=1e-6)

    def test_rates(self):
        scores, same, _, _ = self.exact()
        found = protocols.all_pairs(self.vectors, self.labels, top=500)
        for rate in (0.2, 1e-2, 1e-3):
            t = found.threshold_at_fmr(rate)
            assert (scores[~same] >= t + 1e-6).mean() <= rate  # float32 noise
            assert t == pytest.approx(metrics.threshold_at_fmr(scores[~same], rate), abs=3e-4)
            assert found.fmr(t)[0] == pytest.approx((scores[~same] >= t).mean(), abs=1e-4)
            assert found.fnmr(t)[0] == pytest.approx((scores[same] < t).mean(), abs=5e-3)
        assert found.auc == pytest.approx(metrics.auc(scores[same], scores[~same]), abs=1e-4)
        rate, threshold = found.eer
        expected = metrics.eer(scores[same], scores[~same])
        assert rate == pytest.approx(expected[0], abs=2e-3)
        assert threshold == pytest.approx(expected[1], abs=5e-3)
        assert found.d_prime == pytest.approx(
            metrics.d_prime(scores[same], scores[~same]), abs=1e-3
        )
        with pytest.raises(RateUnsupported):
            found.threshold_at_fmr(1e-6)

    def test_interval_agrees_with_the_bootstrap_over_all_pairs(self):
        scores, same, a, b = self.exact()
        found = protocols.all_pairs(self.vectors, self.labels, top=500)
        t = found.threshold_at_fmr(1e-2)
        short = fmr_rate(found.replicates(), t)
        full = fmr_rate(PairBootstrap(PairScores(scores, same, self.labels[a], self.labels[b])), t)
        assert short.value == pytest.approx(full.value, abs=1e-6)
        assert short.low == pytest.approx(full.low, rel=1e-3)
        assert short.high == pytest.approx(full.high, rel=1e-3)
        with pytest.raises(RateUnsupported, match="larger top"):
            fmr_rate(found.replicates(), 0.0)

    def test_points_agree_with_those_of_listed_pairs(self):
        scores, same, a, b = self.exact()
        found = protocols.all_pairs(self.vectors, self.labels, top=5000)
        listed = PairBootstrap(PairScores(scores, same, self.labels[a], self.labels[b]))
        rates = [1e-2, 1e-3, 1e-4]
        for short, full in zip(
            operating_points(found.replicates(), rates), operating_points(listed, rates),
            strict=True,
        ):  # fmt: skip
            assert short.tar.count == full.tar.count and short.tar.support == full.tar.support
            assert (short.tar.low, short.tar.high) == pytest.approx((full.tar.low, full.tar.high))
            assert short.threshold_low == pytest.approx(full.threshold_low, abs=1e-5)
            assert short.threshold_low < short.threshold < short.threshold_high
        with pytest.raises(RateUnsupported, match="larger top"):
            operating_points(protocols.all_pairs(
                self.vectors, self.labels, top=100
            ).replicates(), [1e-2])  # fmt: skip

    def test_a_collapsed_network_accepts_nobody(self):
        alike = np.full_like(self.vectors, 1 / math.sqrt(self.vectors.shape[1]))
        found = protocols.all_pairs(alike, self.labels)
        assert found.fnmr(found.threshold_at_fmr(1e-2)).tolist() == [1.0]
        result = protocols.evaluate_folder(folder(self.labels), as_set(alike))
        assert [p.tar.value for p in result.points] == [0.0] * len(result.points)
        assert len(result.points) >= 3

    def test_memory_map(self, tmp_path):
        np.save(tmp_path / "v.npy", self.vectors)
        mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
        found = protocols.all_pairs(mapped, self.labels)
        np.testing.assert_array_equal(
            found.impostor.counts, protocols.all_pairs(self.vectors, self.labels).impostor.counts
        )

    @pytest.mark.parametrize(
        ("vectors", "labels", "message"),
        [
            (np.eye(4), [0, 0, 0, 0], "1 people"),
            (np.eye(4), [0, 1, 2, 3], "at most 1 photos"),
            (np.eye(4) * 2, [0, 0, 1, 1], "unit-norm"),
            (np.full((4, 4), np.nan), [0, 0, 1, 1], "unit-norm"),
            (np.eye(4), [0, 0, 1], "as many labels"),
        ],
    )
    def test_refusals(self, vectors, labels, message):
        with pytest.raises(InvalidArray, match=message):
            protocols.all_pairs(vectors.astype(np.float32), labels)

    def test_folder_counts_failed_photos_against_tar(self):
        clean = protocols.evaluate_folder(folder(self.labels), as_set(self.vectors))
        failed = protocols.evaluate_folder(folder(self.labels), as_set(self.vectors, (0, 7)))
        assert failed.failed_genuine_pairs == 8
        assert failed.points[0].tar.value < clean.points[0].tar.value
        assert "p0" not in failed.names
        report = failed.to_dict()
        assert report["failed_photos"] == 2 and report["genuine_pairs"] == 60 * 10 - 8


# --- templates -------------------------------------------------------------------------------


class TestTemplates:
    def test_pooling_by_hand(self):
        v = np.array([[1, 0], [0, 1], [3, 0], [1, 1], [5, 5]], np.float32)
        ids, pooled, failed = protocols.pool_templates(
            v, np.array([7, 7, 7, 9, 4]), np.array([1, 1, 2, 1, 1]),
            failed=np.array([0, 0, 0, 0, 1], bool),
        )  # fmt: skip
        assert ids.tolist() == [4, 7, 9] and failed.tolist() == [True, False, False]
        expected = np.array([3.5, 0.5])
        np.testing.assert_allclose(pooled[1], expected / np.linalg.norm(expected), atol=1e-6)
        np.testing.assert_allclose(pooled[2], [0.5**0.5] * 2, atol=1e-6)

    def test_weights(self):
        v = np.eye(2, dtype=np.float32)
        _, pooled, _ = protocols.pool_templates(
            v, np.array([1, 1]), np.array([1, 2]), weights=[3.0, 1.0]
        )
        np.testing.assert_allclose(pooled[0], np.array([3, 1]) / 10**0.5, atol=1e-6)
        with pytest.raises(InvalidArray):
            protocols.pool_templates(v, np.array([1, 1]), np.array([1, 2]), weights=[np.nan, 1])

    def meta(self, people: int = 30, seed: int = 0) -> tuple[IjbMeta, np.ndarray]:
        """Two templates a person of three photos in two media; ten people are not enrolled."""
        vectors, labels = faces(people, 6, 1.0, seed=seed)
        templates = np.arange(len(labels)) // 3
        media = np.arange(len(labels)) % 3 // 2
        subject = labels[::3]
        enrolled, probes = np.arange(0, 2 * (people - 10), 2), np.arange(1, 2 * people, 2)
        a, b = (m.ravel() for m in np.meshgrid(np.arange(0, 2 * people, 2), probes))
        meta = IjbMeta(
            "ijbc", tuple(photos(len(labels))), np.ones(len(labels)), templates, media,
            a, b, subject[a] == subject[b],
            {"G1": (enrolled[:10], subject[enrolled[:10]]), "G2": (enrolled, subject[enrolled])},
            (probes, subject[probes]),
        )  # fmt: skip
        return meta, vectors

    def test_verification_and_search(self):
        meta, vectors = self.meta()
        result = protocols.evaluate_ijb(meta, as_set(vectors), replicates=50)
        _, pooled, _ = protocols.pool_templates(vectors, meta.templates, meta.media)
        scores = (pooled @ pooled.T)[meta.pair_first, meta.pair_second]
        np.testing.assert_allclose(result.pairs.scores, scores, atol=1e-6)
        expected = metrics.tar_at_fmr(
            scores[meta.pair_same].astype(float), scores[~meta.pair_same].astype(float), 1e-2
        )
        assert result.points[1].tar.value == pytest.approx(expected)
        assert [p.target_fmr for p in result.points] == [1e-1, 1e-2]
        small, large = result.galleries
        assert large.searches.gallery_people == 20
        assert len(large.searches.mated_scores) == 20 and len(large.searches.nonmated_scores) == 10
        assert len(small.searches.nonmated_scores) == 20
        assert large.rank_1.value == large.cmc[0]
        json.dumps(result.to_dict(), allow_nan=False)

    def test_dense_and_sparse_scoring_agree(self):
        from arcid.evaluate.protocols.ijb import template_scores

        vectors, _ = faces(400, 1)
        rng = np.random.default_rng(0)
        a, b = rng.integers(0, 400, (2, 3000))
        failed = np.zeros(400, bool)
        failed[3] = True
        dense = template_scores(vectors, failed, a, b)
        sparse = template_scores(vectors, failed, a[:2], b[:2])
        # 2 pairs over ≤ 4 templates are dense too: compare with the plain product
        plain = np.einsum("md,md->m", vectors[a], vectors[b])
        ok = ~failed[a] & ~failed[b]
        np.testing.assert_allclose(dense[ok], plain[ok], atol=1e-6)
        assert (dense[~ok] == metrics.FAILED).all()
        np.testing.assert_allclose(sparse, dense[:2], atol=1e-6)

    def test_a_failed_template_misses(self):
        meta, vectors = self.meta()
        probe = meta.probes[0][0]
        lost = tuple(np.flatnonzero(meta.templates == probe).tolist())
        result = protocols.evaluate_ijb(meta, as_set(vectors, lost), replicates=20)
        assert result.failed_templates == 1
        touched = (meta.pair_second == probe) | (meta.pair_first == probe)
        assert (result.pairs.scores[touched] == metrics.FAILED).all()
        assert result.galleries[1].searches.mated_ranks.max() == 21
        small = result.galleries[0]  # of ten people, with the cmc's ranks up to ten
        assert small.rank_10.count == (small.searches.mated_scores > metrics.FAILED).sum()
        assert len(small.cmc) == 10 and small.cmc[-1] == small.rank_10.value
        clean = protocols.evaluate_ijb(meta, as_set(vectors), replicates=20)
        assert result.galleries[1].rank_1.value < clean.galleries[1].rank_1.value + 1e-9

    def test_a_failed_enrolment_is_a_miss_not_a_stranger(self):
        meta, vectors = self.meta()
        template = meta.galleries["G2"][0][0]
        lost = tuple(np.flatnonzero(meta.templates == template).tolist())
        result = protocols.evaluate_ijb(meta, as_set(vectors, lost), replicates=20)
        searches = result.galleries[1].searches
        assert len(searches.mated_scores) == 20 and len(searches.nonmated_scores) == 10


# --- distractors -----------------------------------------------------------------------------


class TestMegaface:
    def test_against_the_definition(self):
        vectors, labels = faces(12, 4, 1.3, seed=2)
        far = faces(3000, 1, seed=9)[0]
        result = protocols.evaluate_megaface(
            as_set(vectors), labels, far, sizes=(10, 100, 3000), rates=(1e-4, 1e-9)
        )
        scores = vectors @ far.T
        for size in (10, 100, 3000):
            hits = [
                vectors[i] @ vectors[j] > scores[i, :size].max()
                for i in range(48)
                for j in range(48)
                if i != j and labels[i] == labels[j]
            ]
            assert result.rank_1[size].value == pytest.approx(np.mean(hits))
            assert result.rank_1[size].trials == 12 * 12
        assert result.rank_1[10].value > result.rank_1[3000].value  # distractors matter
        assert set(result.tar) == {1e-4}  # 144 000 impostors do not support 1e-9
        t = result.thresholds[1e-4]
        assert (scores >= t + 1e-6).mean() <= 1e-4  # float32 noise
        expected = metrics.threshold_at_fmr(scores.ravel().astype(float), 1e-4)
        assert t == pytest.approx(expected, abs=1e-6)
        assert result.impostor.total == scores.size
        json.dumps(result.to_dict(), allow_nan=False)

    def test_failures_and_contracts(self):
        vectors, labels = faces(5, 3, 0.5)
        far = as_set(faces(50, 1, seed=4)[0], (0, 1))
        result = protocols.evaluate_megaface(as_set(vectors, (0,)), labels, far, rates=(1e-2,))
        assert result.distractors == 48 and result.failed_distractors == 2
        assert result.rank_1[48].value <= 1 - 4 / 30  # the failed photo in four ordered pairs
        with pytest.raises(ContractMismatch):
            protocols.evaluate_megaface(
                as_set(vectors), labels, as_set(faces(50, 1)[0], contract="other")
            )


# --- galleries -------------------------------------------------------------------------------


class TestGallery:
    vectors, labels = faces(30, 12, 0.9, seed=1)

    def test_split_is_seeded_and_disjoint(self):
        people = folder(self.labels)
        one, two = (protocols.split(people, people=10, strangers=5, seed=4) for _ in range(2))
        np.testing.assert_array_equal(one.probes, two.probes)
        other = protocols.split(people, people=10, strangers=5, seed=5)
        assert other.probes.tolist() != one.probes.tolist()
        parts = [set(p.tolist()) for p in (one.enrolled, one.probes, one.strangers)]
        assert len(parts[0] | parts[1] | parts[2]) == 50 + 50 + 25
        members = set(self.labels[one.enrolled])
        assert members == set(self.labels[one.probes])
        assert not members & set(self.labels[one.strangers])

    def test_ranks_by_brute_force(self):
        chosen = protocols.split(folder(self.labels), people=20, strangers=10)
        result = protocols.evaluate_gallery(chosen, as_set(self.vectors))
        scores = self.vectors[chosen.probes] @ self.vectors[chosen.enrolled].T
        best = {
            person: scores[:, self.labels[chosen.enrolled] == person].max(axis=1)
            for person in set(self.labels[chosen.enrolled].tolist())
        }
        rank = [
            1 + sum(best[p][i] >= best[own][i] for p in best if p != own)
            for i, own in enumerate(self.labels[chosen.probes].tolist())
        ]
        for k in (1, 3, 5):
            assert result.top[k].value == pytest.approx(np.mean(np.array(rank) <= k))
        assert result.points[0].target_fpir == 0.1
        assert len(result.confusions()) == sum(r > 1 for r in rank)
        pooled = protocols.evaluate_gallery(chosen, as_set(self.vectors), pool="mean")
        assert pooled.top[1].value >= result.top[1].value  # noise averages out

    def test_failed_reads_are_counted_as_misses(self):
        chosen = protocols.split(folder(self.labels), people=20)
        clean = protocols.evaluate_gallery(chosen, as_set(self.vectors))
        lost = chosen.probes[:10].tolist()
        result = protocols.evaluate_gallery(chosen, as_set(self.vectors, tuple(lost)))
        assert result.failed_probes == 10
        assert result.top[5].value <= clean.top[5].value - 0.08
        assert result.top[1].trials == 100

    def test_a_failed_read_is_a_miss_at_ranks_beyond_the_gallery(self):
        chosen = protocols.split(folder(self.labels), people=3)
        lost = tuple(chosen.probes[:2].tolist())
        result = protocols.evaluate_gallery(chosen, as_set(self.vectors, lost))
        assert result.top[3].count == result.top[5].count == 13  # of 15

    def test_a_person_who_could_not_be_enrolled(self):
        chosen = protocols.split(folder(self.labels), people=20)
        person = self.labels[chosen.enrolled[0]]
        lost = tuple(i for i in chosen.enrolled.tolist() if self.labels[i] == person)
        result = protocols.evaluate_gallery(chosen, as_set(self.vectors, lost))
        assert result.unenrolled_people == 1 and result.failed_enrolments == 5
        assert len(result.searches.mated_ranks) == 100
        assert (result.searches.mated_ranks == 20).sum() >= 5  # 19 people and one more

    def test_too_few_photos(self):
        with pytest.raises(DatasetInvalid, match="0 of 30 people have the 20 photos"):
            protocols.split(folder(self.labels), enrol=10, probe=10)
        with pytest.raises(DatasetInvalid, match="strangers were asked for"):
            protocols.split(folder(self.labels), people=25, strangers=10)

    def test_nothing_could_be_enrolled(self):
        chosen = protocols.split(folder(self.labels), people=2)
        lost = tuple(chosen.enrolled.tolist())
        with pytest.raises(DatasetInvalid, match="could be enrolled"):
            protocols.evaluate_gallery(chosen, as_set(self.vectors, lost))
        assert isinstance(chosen, GallerySplit)


# --- pair lists and attacks ------------------------------------------------------------------


class TestPairList:
    vectors, labels = faces(12, 3, 0.7, seed=6)

    def test_left_out_people_are_not_seen(self):
        """A stump over the others is what decides a pair; by hand for one pair."""
        pairs = some_pairs(self.labels, 30, seed=1)
        listed = pair_list(self.labels, pairs)
        result = protocols.evaluate_pair_list(listed, as_set(self.vectors))
        d = np.array([1 - self.vectors[a] @ self.vectors[b] for a, b in pairs], float)
        who = np.array([[self.labels[a], self.labels[b]] for a, b in pairs])
        right = 0
        for i in range(len(pairs)):
            others = ~np.isin(who, who[i]).any(axis=1)
            t = metrics.information_gain_stump(d[others], listed.same[others]).threshold
            right += (d[i] <= t) == listed.same[i]
        found = result.distances["cosine"]
        assert found.left_out.accuracy == pytest.approx(right / len(pairs))
        assert found.in_sample.accuracy >= found.left_out.accuracy

    def test_norms_change_the_plain_euclidean_only(self):
        listed = pair_list(self.labels, some_pairs(self.labels, 30))
        norms = np.random.default_rng(0).uniform(5, 20, len(self.labels))
        result = protocols.evaluate_pair_list(listed, as_set(self.vectors), norms=norms)
        a, b = listed.first[0], listed.second[0]
        raw = np.linalg.norm(self.vectors[a] * norms[a] - self.vectors[b] * norms[b])
        assert result.distances["euclidean"].values[0] == pytest.approx(raw, rel=1e-5)
        unit = np.linalg.norm(self.vectors[a] - self.vectors[b])
        assert result.distances["euclidean_l2"].values[0] == pytest.approx(unit, rel=1e-5)

    def test_failed_photos(self):
        pairs = some_pairs(self.labels, 30)
        lost = pairs[0][0]
        result = protocols.evaluate_pair_list(
            pair_list(self.labels, pairs), as_set(self.vectors, (lost,))
        )
        touched = sum(lost in p for p in pairs)
        assert result.to_dict()["failed_pairs"] == touched
        assert np.isinf(result.distances["cosine"].values).sum() == touched
        json.dumps(result.to_dict(), allow_nan=False)


def test_pad(tmp_path: Path):
    rng = np.random.default_rng(0)
    rows = [f"l{i},bona_fide,{v:.3f}" for i, v in enumerate(rng.uniform(0.4, 1, 50))]
    rows += [f"p{i},print,{v:.3f}" for i, v in enumerate(rng.uniform(0, 0.6, 40))]
    rows += [f"m{i},mask,0.9" for i in range(5)] + ["x,print,"]
    path = tmp_path / "pad.csv"
    path.write_text("file,species,score\n" + "\n".join(rows) + "\n")
    result = protocols.evaluate_pad(readers.read_pad(path), 0.5)
    assert list(result.rates.apcer) == ["print"] and result.rates.refused == {"mask": 5}
    assert result.rates.apcer["print"].trials == 41 and result.unusable == 1
    report = result.to_dict()
    assert "30 are needed" in report["refused_species"]["mask"]
    assert report["apcer_worst"] == report["apcer"]["print"]
    assert result.bpcer_at_apcer(0.1)["mask"] is None
    assert 0 < result.bpcer_at_apcer(0.1)["print"] < 0.5
    json.dumps(report, allow_nan=False)
    with pytest.raises(InvalidArray, match="need a score each"):
        protocols.evaluate_pad(readers.read_pad(path), 0.5, [0.1])
