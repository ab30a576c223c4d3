"""Duplicates, re-embedding, evaluation: the same to the bit, however many processes share them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import sqlalchemy as sa
from tests import sharded
from tests.databases import leave_unsealed
from tests.unit.test_decide import ruler

from arcid import Pipeline
from arcid.apps.duplicates import Duplicates, work
from arcid.apps.duplicates.tables import pairs as pairs_table
from arcid.apps.enrol import new_face
from arcid.apps.evaluate_photos import Run
from arcid.apps.photo_embedding import QUALITY
from arcid.apps.photo_options import Options
from arcid.errors import ContractMismatch, WorkerLost
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.sources import Photo
from arcid.gallery import Gallery, NewFace
from arcid.gallery import sharded as beside
from arcid.gallery.index import pairs as panels
from arcid.models import weights
from arcid.pipeline import embed_by
from arcid.sharding import Workers, workers
from arcid.types import Embeddings, Image

pytestmark = pytest.mark.slow
CALIBRATION = ruler()
OLD = "ab" * 32
OTHER = "mobilefacenet_128"


@pytest.fixture(scope="module", params=["processes", pytest.param("ray", marks=pytest.mark.engine)])
def over(request: pytest.FixtureRequest) -> Iterator[Workers]:
    if request.param == "processes":
        with workers(2) as found:
            assert found is not None
            yield found
        return
    with sharded.ray_of_two() as found:
        yield found


@pytest.fixture(autouse=True)
def small_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small gallery has many blocks."""
    monkeypatch.setattr(panels, "LEAST_ROWS", 4)


def crop(i: int) -> Image:
    return np.random.default_rng(i).integers(0, 255, (16, 16, 3)).astype(np.uint8)


def crowd(url: str, people: int = 24, *, plain: bool = False) -> Gallery:
    """People with a face and its crop each, every fifth of them under two names."""
    gallery = Gallery.open(url)
    if plain:
        leave_unsealed(gallery)
    gallery.create_collection("staff", keep_crops=True)
    rows = np.random.default_rng(3).normal(size=(people, 64))
    rows[5::5] = rows[4:-1:5] + rows[5::5] / 3
    for i, row in enumerate(rows):
        vector = Embeddings.normalised(row[None], OLD)
        gallery.enrol("staff", f"P{i}", [NewFace(vector, f"photo {i}", crop=crop(i))])
    return gallery


def begin(gallery: Gallery, calibration: Any = CALIBRATION) -> str:
    begun = Duplicates(gallery).runs.begin(
        "staff", calibration, actor="op", allow_extrapolation=True
    )
    return begun.id


def pairs_of(gallery: Gallery) -> list[tuple[Any, ...]]:
    """The stored pairs in the order they were stored, but for their ids and times."""
    names = (
        "a_id",
        "b_id",
        "a_face_uid",
        "b_face_uid",
        "cosine",
        "probability",
        "templates",
        "state",
    )
    with gallery.database.read() as connection:
        query = sa.select(*(pairs_table.c[name] for name in names)).order_by(pairs_table.c.id)
        return [tuple(row) for row in connection.execute(query)]


def forget_pairs(gallery: Gallery) -> None:
    with gallery.database.write() as connection:
        connection.execute(pairs_table.delete())


def vectors_of(gallery: Gallery, contract: str) -> dict[str, bytes]:
    return {
        face: row.tobytes()
        for faces, _, rows in gallery.vectors("staff", contract)
        for face, row in zip(faces, rows, strict=True)
    }


def kill_one(*_: object) -> None:
    """As the kernel does when memory is short."""
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
                return


# duplicates


def test_duplicates_are_the_same(database_url: str, over: Workers) -> None:
    with crowd(database_url) as gallery:
        assert work(gallery, "staff", begin(gallery), CALIBRATION).state == "done"
        alone = pairs_of(gallery)
        assert len(alone) >= 4
        forget_pairs(gallery)
        run = begin(gallery)
        told: list[int] = []
        done = work(
            gallery, "staff", run, CALIBRATION, over=over, progress=lambda at, _: told.append(at)
        )
        assert done.state == "done" and done.blocks > 10 and told == list(range(1, done.blocks + 1))
        assert pairs_of(gallery) == alone


def test_a_run_goes_on_after_a_worker_was_killed(fresh: Path) -> None:
    with crowd(str(fresh), 40) as gallery:
        work(gallery, "staff", begin(gallery), CALIBRATION)
        alone = pairs_of(gallery)
        forget_pairs(gallery)
        run = begin(gallery)
        with workers(2) as over, pytest.raises(WorkerLost, match="--resume goes on from there"):
            work(gallery, "staff", run, CALIBRATION, over=over, progress=kill_one)
        left = Duplicates(gallery).runs.get("staff", run)
        assert left.state == "failed" and 0 < left.done < left.blocks
        assert work(gallery, "staff", run, CALIBRATION).state == "done"
        assert pairs_of(gallery) == alone


def test_a_run_is_stopped_between_blocks_and_goes_on(fresh: Path, over: Workers) -> None:
    with crowd(str(fresh)) as gallery:
        run, asked = begin(gallery), iter([False, False, True, True])
        left = work(gallery, "staff", run, CALIBRATION, over=over, stopped=lambda: next(asked))
        assert (left.state, left.done) == ("stopped", 2)
        assert work(gallery, "staff", run, CALIBRATION, over=over).state == "done"
        assert len(pairs_of(gallery)) >= 4


# re-embedding


@pytest.mark.parametrize("plain", [False, True], ids=["sealed", "plain"])
def test_re_embedded_vectors_are_the_same(
    fresh: Path, over: Workers, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed: list[bool] = []
    unseal = beside.unseal
    monkeypatch.setattr(
        beside, "unseal", lambda *given: sealed.append(given[2][1]) or unseal(*given)
    )
    with crowd(str(fresh), plain=plain) as gallery:
        gallery.reembed("staff", sharded.embed_pixels, sharded.CONTRACT, batch=4)
        alone = vectors_of(gallery, sharded.CONTRACT)
        gallery.drop_contract("staff", sharded.CONTRACT)
        told: list[tuple[int, int]] = []
        report = gallery.reembed(
            "staff", sharded.embed_pixels, sharded.CONTRACT, batch=4, over=over,
            progress=lambda *at: told.append(at),
        )  # fmt: skip
        assert (report.done, report.without_crop, report.already) == (24, 0, 0)
        assert told == [(n, 24) for n in range(4, 25, 4)]
        assert vectors_of(gallery, sharded.CONTRACT) == alone
        assert gallery.check() == []
    assert set(sealed) == {not plain}  # vectors do not leave a worker in clear


def test_re_embedding_goes_on_after_a_worker_was_killed(fresh: Path) -> None:
    with crowd(str(fresh), 40) as gallery:
        reembed = partial(gallery.reembed, "staff", sharded.embed_pixels, sharded.CONTRACT, batch=2)
        with workers(2) as over, pytest.raises(WorkerLost, match="stored; started again"):
            reembed(over=over, progress=kill_one)
        kept = vectors_of(gallery, sharded.CONTRACT)
        assert 0 < len(kept) < 40
        report = reembed()
        assert (report.done, report.already) == (40 - len(kept), len(kept))
        assert vectors_of(gallery, sharded.CONTRACT).items() >= kept.items()
        assert gallery.check() == []


def test_who_was_erased_meanwhile_is_left_out(fresh: Path, over: Workers) -> None:
    with crowd(str(fresh)) as gallery:
        last = gallery.find_person("staff", "P23")

        def erase(done: int, _: int) -> None:
            if done == 4:
                gallery.delete_person("staff", last.id)

        report = gallery.reembed(
            "staff", sharded.embed_pixels, sharded.CONTRACT, batch=4, over=over, progress=erase
        )
        assert report.done == 23 and len(vectors_of(gallery, sharded.CONTRACT)) == 23


def test_a_worker_of_another_model_is_refused(fresh: Path, over: Workers) -> None:
    with crowd(str(fresh), 4) as gallery:
        with pytest.raises(ContractMismatch):
            gallery.reembed("staff", sharded.embed_pixels, "ef" * 32, over=over)
        assert [usage.contract_id for usage in gallery.contracts("staff")] == [OLD]


# real photographs


@pytest.fixture(scope="module")
def photos(data_dir: Path) -> list[Photo]:
    folders = sorted((data_dir / "data/lfw-dev/images").iterdir())
    many = [folder for folder in folders if len(list(folder.iterdir())) >= 3][:8]
    files = [file for folder in many for file in sorted(folder.iterdir())[:3]]
    files.insert(5, data_dir / "data/photos/misc/no_face.png")
    return [Photo(str(file), file) for file in files]


@pytest.fixture(scope="module")
def enrolled(photos: list[Photo], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a gallery of those photos, every one somebody of their own."""
    folder = tmp_path_factory.mktemp("enrolled")
    pipeline = Pipeline.from_models()
    with Gallery.open(folder / "gallery.db") as gallery:
        gallery.create_collection("staff", keep_crops=True)
        for i, photo in enumerate(photos):
            for face in pipeline.faces(photo.source, select="center"):
                gallery.enrol("staff", f"P{i}", [new_face(face, f"photo {i}", {})])
    return folder


@pytest.mark.data
def test_real_faces_are_found_twice_and_embedded_the_same(
    enrolled: Path, over: Workers, tmp_path: Path
) -> None:
    shutil.copytree(enrolled, tmp_path / "own")
    calibration = weights.find_calibration(weights.resolve_default("recognition"))
    wanted = weights.resolve(OTHER).manifest.contract_id
    with Gallery.open(tmp_path / "own" / "gallery.db") as gallery:
        work(gallery, "staff", begin(gallery, calibration), calibration)
        alone = pairs_of(gallery)
        assert len(alone) >= 8  # of 24 photos of 8 people, each under three names
        forget_pairs(gallery)
        work(gallery, "staff", begin(gallery, calibration), calibration, over=over)
        assert pairs_of(gallery) == alone

        gallery.reembed("staff", partial(embed_by, OTHER), wanted, batch=8)
        one = vectors_of(gallery, wanted)
        gallery.drop_contract("staff", wanted)
        gallery.reembed("staff", partial(embed_by, OTHER), wanted, batch=8, over=over)
        assert len(one) >= 24 and vectors_of(gallery, wanted) == one


def measured(photos: list[Photo], cache: Path, **how: Any) -> tuple[EmbeddingSet, np.ndarray]:
    run = Run(Options(select="center", cache=cache, **how), "set")
    found = run.embed(photos)
    qualities = run.qualities()
    assert qualities is not None
    return found, qualities.values


@pytest.mark.data
def test_evaluated_photos_give_the_same_vectors_and_qualities(
    photos: list[Photo], over: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arcid import sharding

    monkeypatch.setattr(sharding, "workers", lambda *_: nullcontext())
    one, quality = measured(photos, tmp_path / "one")
    monkeypatch.setattr(sharding, "workers", lambda *_: nullcontext(over))
    two, again = measured(photos, tmp_path / "two", workers=2)
    assert two.names == one.names and two.contract_id == one.contract_id
    assert two.vectors.tobytes() == one.vectors.tobytes()
    assert one.failures[5].code == "no_face_found" and two.failures == one.failures
    assert quality.shape == (24, len(QUALITY)) and quality.tobytes() == again.tobytes()


def test_an_evaluation_goes_on_after_a_worker_was_killed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (160, 112, 112, 3)).astype(np.uint8)
    crops = [Photo(str(i), pixels) for i, pixels in enumerate(noise)]
    how = Options(aligned=True, cache=tmp_path / "cache")
    cut = Run(replace(how, workers=2), "set", bar=lambda *_: nullcontext(kill_one))
    with pytest.raises(WorkerLost, match="in the cache; started again"):
        cut.embed(crops)
    begun: list[int] = []
    run = Run(how, "set", bar=lambda *_: nullcontext(begun.append))
    found = run.embed(crops)
    assert 16 <= begun[0] < 160 and sum(begun) == 160
    one = Run(replace(how, no_cache=True), "set").embed(crops)
    assert found.vectors.tobytes() == one.vectors.tobytes()
