"""Several recognisers as one: their vectors, contract, gallery, calibration and weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.toys import Squares, picture

from arcid import Gallery, NewFace, Pipeline
from arcid.embed import Ensemble
from arcid.errors import (
    ContractMismatch,
    InvalidArray,
    ManifestInvalid,
    ModelUnsupported,
    UsageError,
)
from arcid.evaluate import fusion
from arcid.models import ensembles, weights
from arcid.types import Crops, Embeddings, FloatArray, Template

A, B = "mobilefacenet_128", "face_reid_retail_0095"


class Toy:
    """A fixed projection of a few pixels; ``seed`` decides which."""

    def __init__(self, seed: int, dim: int, size: int = 112, template: Template = "arcface"):
        self.contract_id = f"toy-{seed}"
        self.dim, self.size, self.template = dim, size, template
        self.matrix = np.random.default_rng(seed).normal(size=(48, dim))
        self.seen: list[tuple[int, ...]] = []

    def embed(self, crops: Crops) -> Embeddings:
        self.seen.append(crops.pixels.shape)
        step = crops.size // 4
        values = crops.pixels[:, ::step, ::step][:, :4, :4].reshape(len(crops), -1) / 255 - 0.5
        return Embeddings.normalised(values @ self.matrix, self.contract_id)


def noise(count: int, size: int = 112) -> Crops:
    drawn = np.random.default_rng(7).integers(0, 255, (count, size, size, 3))
    return Crops(drawn.astype(np.uint8))


def test_a_cosine_is_the_weighted_mean_of_the_members_cosines() -> None:
    one, other = Toy(1, 5), Toy(2, 9)
    both, crops = Ensemble([one, other], [1, 3]), noise(6)
    found = both.embed(crops)
    assert (found.dim, both.dim, found.contract_id) == (14, 14, both.contract_id)
    x, y = (member.embed(crops) for member in (one, other))
    expected = 0.25 * x.cosine(x) + 0.75 * y.cosine(y)
    np.testing.assert_allclose(found.cosine(found), expected, atol=1e-5)
    own = both.cosines(found, found)
    order = [both.members.index(member) for member in (one, other)]
    np.testing.assert_allclose(own[order], [x.cosine(x), y.cosine(y)], atol=1e-5)
    with pytest.raises(ContractMismatch):
        both.cosines(found, x)


def test_order_of_the_members_changes_nothing_and_weights_do() -> None:
    one, other, third, crops = Toy(1, 5), Toy(2, 9), Toy(3, 4), noise(3)
    left, right = Ensemble([one, other]), Ensemble([other, one])
    assert left.contract_id == right.contract_id
    np.testing.assert_array_equal(left.embed(crops).vectors, right.embed(crops).vectors)
    assert Ensemble([one, other], [2, 2]).contract_id == left.contract_id
    others = [Ensemble([one, other], [1, 2]), Ensemble([one, third]), Ensemble([one, other, third])]
    contracts = {left.contract_id, *(each.contract_id for each in others)}
    assert len(contracts) == 4
    swapped = Ensemble([other, one], [2, 1])
    assert swapped.contract_id == others[0].contract_id
    np.testing.assert_array_equal(swapped.embed(crops).vectors, others[0].embed(crops).vectors)


def test_each_member_sees_the_crop_it_wants() -> None:
    small, other = Toy(1, 5, size=64), Toy(2, 5, size=128, template="omz")
    both = Ensemble([small, other])
    assert (both.size, both.template) == (64, "arcface")
    assert len(both.embed(Crops.empty(64))) == 0
    both.embed(noise(2, 64))
    assert (small.seen, other.seen) == ([(2, 64, 64, 3)], [(2, 128, 128, 3)])


def test_what_cannot_be_joined_is_refused() -> None:
    one, other = Toy(1, 5), Toy(2, 5)
    for members, given in ([one], None), ([], None), ([one, other], [1, 0]), ([one, other], [1]):
        with pytest.raises((UsageError, ValueError)):
            Ensemble(members, given)
    with pytest.raises(ManifestInvalid, match="same vectors"):
        Ensemble([one, Toy(1, 5)])
    with pytest.raises(ManifestInvalid, match="box"):
        Ensemble([one, Toy(3, 5, template="box")])
    other.dim = 6
    with pytest.raises(ModelUnsupported, match="does not promise"):
        Ensemble([one, other]).embed(noise(1))


def test_a_pipeline_and_a_gallery_hold_it(fresh: Path) -> None:
    pipeline = Pipeline(Squares(), Ensemble([Toy(1, 5), Toy(2, 9)]))
    assert pipeline.provenance["model"] == "Toy+Toy"
    first, second = pipeline.faces(picture(0, 2))
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        gallery.enrol("staff", "Ada", [NewFace(first.embedding)])
        (hits,) = gallery.search("staff", second.embedding)
        cosine = float(first.embedding.cosine(second.embedding)[0, 0])
        assert (hits[0].name, round(hits[0].cosine, 2)) == ("Ada", round(cosine, 2))


@pytest.mark.parametrize("name", ["a+", "+a", "a+b@x", "a+b@0", "a+b@-1", "a@nan+b", "a+a", "a@+b"])
def test_a_name_that_is_no_ensemble(name: str) -> None:
    with pytest.raises(UsageError):
        ensembles.parse(name)


def test_a_name_with_weights() -> None:
    assert ensembles.parse("a+b@0.5+c@2") == {"a": 1.0, "b": 0.5, "c": 2.0}
    assert ensembles.shares([1, 1, 2]) == [0.25, 0.25, 0.5]


# weights


def drawn(slopes: FloatArray, shared: float = 0.0, count: int = 20_000) -> tuple[Any, Any]:
    """(K,M) scores whose log-likelihood ratio is Σ slope · score, for ``shared`` 0: Gaussians of
    one width apart by slope · variance; with ``shared`` noise in common."""
    rng = np.random.default_rng(3)
    same = np.arange(count) % 2 == 0
    sigma = 0.1
    means = np.asarray(slopes)[:, None] * sigma**2 * (same[None] - 0.5)
    own = rng.normal(0, sigma, (len(slopes), count))
    return means + np.sqrt(1 - shared) * own + np.sqrt(shared) * rng.normal(0, sigma, count), same


def test_independent_members_get_the_weights_of_their_log_likelihood_ratios() -> None:
    cosines, same = drawn(np.array([30.0, 10.0]))
    for fitted in fusion.fit_together(cosines, same), fusion.fit_each(cosines, same):
        np.testing.assert_allclose(fitted.slopes, [30, 10], rtol=0.1)
        np.testing.assert_allclose(fitted.weights, [0.75, 0.25], atol=0.03)
        np.testing.assert_allclose(fitted.intercept, 0, atol=0.1)
        assert abs(float(fitted(np.zeros((2, 1)))[0]) - fitted.intercept) < 1e-9


def test_members_that_err_together_count_less_when_fitted_together() -> None:
    cosines, same = drawn(np.array([20.0, 20.0]), shared=0.9)
    naive, fitted = fusion.fit_each(cosines, same), fusion.fit_together(cosines, same)
    assert sum(fitted.slopes) < 0.7 * sum(naive.slopes)


def test_a_member_that_knows_nothing_is_left_out() -> None:
    cosines, same = drawn(np.array([30.0, -5.0]))
    fitted = fusion.fit_together(cosines, same)
    assert fitted.weights == (1.0, 0.0)
    with pytest.raises(InvalidArray):
        fitted(cosines[:1])
    with pytest.raises(InvalidArray):
        fusion.fit_together(cosines, np.ones(cosines.shape[1], bool))


def test_the_weights_of_an_ensemble_are_fitted_on_its_own_vectors() -> None:
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(12), 3)
    faces = rng.integers(0, 255, (12, 8, 8, 3)).repeat(14, axis=1).repeat(14, axis=2)
    seen = faces[people] + rng.normal(0, 25, (36, 112, 112, 3))
    blind = Toy(2, 9)
    # one member that sees nothing: its vectors say nothing of the crop
    blind.embed = lambda crops: Embeddings.normalised(  # type: ignore[method-assign]
        rng.normal(size=(len(crops), 9)), blind.contract_id
    )
    mine = Ensemble([Toy(1, 32), blind])
    vectors = mine.embed(Crops(np.clip(seen, 0, 255).astype(np.uint8)))
    rows, columns = np.triu_indices(len(vectors), k=1)
    cosines = mine.cosines(vectors, vectors)[:, rows, columns]
    fitted = fusion.fit_together(cosines, people[rows] == people[columns])
    assert fitted.weights[mine.members.index(blind)] < 0.2


# installed models


@pytest.mark.data
def test_it_resolves_by_name_as_the_least_free_and_trusted_of_its_members(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = weights.resolve(f"{A}+{B}@3")
    again = weights.resolve(f"{B}@0.75+{A}@0.25")
    assert found.manifest.contract_id == again.manifest.contract_id
    assert found.manifest.contract_id != weights.resolve(f"{A}+{B}").manifest.contract_id
    assert (found.trust, found.manifest.licence.commercial_use) == ("catalogue", True)
    mixed = weights.resolve(f"{A}+arcid-face-s").manifest
    assert mixed.licence.commercial_use is False and mixed.output and mixed.output.dim > 128
    with pytest.raises(ManifestInvalid):
        weights.resolve(f"{A}+scrfd_2.5g")
    with pytest.raises(ManifestInvalid, match="same vectors"):
        weights.resolve("arcid-face-s+arcid-face-s-int8")
    monkeypatch.setenv("ARCID_RECOGNISER", f"{A}+{B}@3")
    assert weights.resolve_default("recognition").manifest == found.manifest
    known = weights.of_contract(found.manifest.contract_id)
    assert known is not None and known.name == f"{A}+{B}@3"


@pytest.mark.data
@pytest.mark.slow
def test_calibrated_it_decides_in_a_gallery(
    cli: Callable[..., Any],
    data_dir: Path,
    environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = data_dir / "data/deepface-pairs"
    name = f"{A}+{B}"
    monkeypatch.setenv("ARCID_RECOGNISER", name)
    ran = cli("verify", photos / "img1.jpg", photos / "img2.jpg", "--json")
    assert ran.code != 0 and "calibrate" in ran.err + ran.out
    people = tmp_path / "people"
    several = (
        folder for folder in sorted((data_dir / "data/lfw-dev/images").iterdir())
        if len(list(folder.iterdir())) >= 2
    )  # fmt: skip
    for folder in itertools.islice(several, 25):
        (people / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:2]:
            (people / folder.name / photo.name).symlink_to(photo)
    made = cli("calibrate", people, "--select", "center", "--json")
    assert made.code == 0, made.err
    assert made.json["people"] == 25
    same = cli("verify", photos / "img1.jpg", photos / "img2.jpg", "--fmr", "0.1", "--json")
    other = cli("verify", photos / "img1.jpg", photos / "img13.jpg", "--fmr", "0.1", "--json")
    assert (same.json["outcome"], other.json["outcome"]) == ("match", "no_match"), same.err
    assert cli("enrol", "Ann", photos / "img1.jpg", "--json").code == 0
    (face,) = cli("search", photos / "img4.jpg", "--fpir", "0.1", "--json").json["faces"]
    assert face["candidates"][0]["name"] == "Ann"
    alone = cli("search", photos / "img4.jpg", "--json", "--model", A)
    assert alone.code != 0 and name in alone.err + alone.out
    shown = cli("models", "info", name, "--json").json
    assert shown["manifest"]["members"] and {f["state"] for f in shown["files"]} == {"ok"}
    assert cli("models", "verify", name).code == 0
