"""The batch values refuse what is wrong by name, cannot be changed and slice like lists."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from arcid.errors import (
    ContractMismatch,
    InvalidArray,
    NoFaceFound,
    SeveralFacesFound,
    UsageError,
)
from arcid.geometry import ARCFACE_TEMPLATE
from arcid.types import Crops, Decision, Detections, Embeddings, Match


def faces(*boxes: tuple[float, ...], size: tuple[int, int] = (400, 600)) -> Detections:
    n = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(n, 4),
        np.linspace(0.9, 0.5, n),
        np.stack([ARCFACE_TEMPLATE] * n) if n else np.zeros((0, 5, 2)),
        size,
    )


# Detections


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("boxes", np.zeros((2, 5)), r"boxes must have shape \(N,4\), got \(2, 5\)"),
        ("boxes", np.zeros(4), r"boxes must have shape \(N,4\), got \(4,\)"),
        ("boxes", np.full((2, 4), np.nan), "boxes holds NaN or infinite"),
        ("scores", np.zeros(3), r"scores must have shape \(2\), got \(3,\)"),
        ("scores", np.array([0.5, np.inf]), "scores holds NaN or infinite"),
        ("points", np.zeros((2, 10)), r"points must have shape \(2,5,2\), got \(2, 10\)"),
        ("points", np.zeros((1, 5, 2)), r"points must have shape \(2,5,2\), got \(1, 5, 2\)"),
        ("image_size", (0, 100), r"image_size must be \(height, width\) >= 1"),
    ],
)
def test_detections_are_checked(field: str, value: Any, message: str) -> None:
    good: dict[str, Any] = {
        "boxes": np.zeros((2, 4)),
        "scores": np.zeros(2),
        "points": np.zeros((2, 5, 2)),
        "image_size": (50, 60),
    }
    Detections(**good)
    with pytest.raises(InvalidArray, match=message):
        Detections(**(good | {field: value}))


def test_detections_are_float32_and_frozen() -> None:
    boxes = np.array([[1, 2, 30, 40]], np.int64)
    found = Detections(boxes, [0.5], None, (50, 60))  # type: ignore[arg-type]
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.sizes.tolist() == [[29, 38]]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.boxes = boxes  # type: ignore[misc, assignment]
    with pytest.raises(ValueError, match="read-only"):
        found.boxes[0, 0] = 7


def test_detections_do_not_freeze_their_callers_array() -> None:
    boxes = np.zeros((1, 4), np.float32)
    Detections(boxes, np.zeros(1), None, (9, 9))
    boxes[0, 0] = 3


def test_detections_slice_like_a_list() -> None:
    found = faces((0, 0, 10, 10), (20, 0, 40, 20), (50, 0, 90, 40))
    assert [float(one.boxes[0, 0]) for one in found] == [0, 20, 50]
    assert all(len(one) == 1 and one.points is not None for one in found)
    assert found[-1].boxes.tolist() == [[50, 0, 90, 40]]
    assert len(found[1:]) == 2
    assert found[[2, 0]].boxes[:, 0].tolist() == [50, 0]
    assert found[found.sizes[:, 0] > 15].image_size == (400, 600)
    assert len(found[np.zeros(3, bool)]) == 0
    no_points = Detections(found.boxes, found.scores, None, (400, 600))
    assert no_points[1].points is None


def test_no_faces_are_ordinary() -> None:
    empty = Detections.empty((40, 50))
    assert len(empty) == 0
    assert empty.points is not None
    assert Detections.empty((40, 50), points=False).points is None
    assert list(empty) == []
    for which in ("largest", "center", "all"):
        assert len(empty.select(which)) == 0  # type: ignore[arg-type]


# selection: the photo is 600 wide, 400 high, its middle (300, 200)

SMALL_MIDDLE = (280.0, 180.0, 320.0, 220.0)
LARGE_CORNER = (0.0, 0.0, 120.0, 120.0)
TINY = (580.0, 380.0, 590.0, 390.0)


def test_select_all_keeps_the_order() -> None:
    found = faces(SMALL_MIDDLE, LARGE_CORNER, TINY)
    assert found.select("all").boxes.tolist() == found.boxes.tolist()


def test_select_largest() -> None:
    assert faces(SMALL_MIDDLE, TINY, LARGE_CORNER).select("largest").boxes.tolist() == [
        list(LARGE_CORNER)
    ]


def test_select_center_weighs_size_against_distance() -> None:
    assert faces(LARGE_CORNER, TINY, SMALL_MIDDLE).select("center").boxes.tolist() == [
        list(SMALL_MIDDLE)
    ]
    nearly_middle = (200.0, 100.0, 380.0, 300.0)  # far larger and hardly off the middle
    assert faces(SMALL_MIDDLE, nearly_middle).select("center").boxes.tolist() == [
        list(nearly_middle)
    ]


def test_the_prominent_face_is_large_and_near_the_middle() -> None:
    middle, edge = (250.0, 150.0, 350.0, 250.0), (500.0, 150.0, 600.0, 250.0)
    assert faces(edge, middle, TINY).select("prominent").boxes.tolist() == [list(middle)]
    near = (0.0, 0.0, 360.0, 400.0)  # larger by far outweighs nearer to the middle
    assert faces(middle, near).select("prominent").boxes.tolist() == [list(near)]
    # exp(-2 r²) with r = 1 in the very corner: an area e² times as large counts the same there
    corner = faces((-50, -50, 50, 50)).prominence
    assert corner == pytest.approx(10_000 * np.exp(-2))
    assert faces(middle).prominence == pytest.approx(10_000)


def test_a_bystander_of_half_the_prominence_makes_a_photo_ambiguous() -> None:
    main = (100.0, 150.0, 200.0, 250.0)  # as far from the middle on the left …
    for height, refused in ((50.5, True), (49.5, False)):  # … as these are on the right
        beside = (400.0, 200.0 - height / 2, 500.0, 200.0 + height / 2)
        if refused:
            with pytest.raises(
                SeveralFacesFound, match=r"2 faces .* select=largest or select=center"
            ):
                faces(main, beside, TINY).select("prominent")
        else:
            assert faces(beside, main).select("prominent").boxes.tolist() == [list(main)]
    with pytest.raises(NoFaceFound, match="no face was found"):
        faces().select("prominent")


def test_select_one_insists() -> None:
    with pytest.raises(NoFaceFound, match="no face was found"):
        faces().select("one")
    with pytest.raises(SeveralFacesFound, match="2 faces") as caught:
        faces((0, 0, 100, 100), (200, 0, 260, 100), TINY).select("one")
    assert caught.value.details == {"faces": 2}
    only = faces(SMALL_MIDDLE).select("one")
    assert only.boxes.tolist() == [list(SMALL_MIDDLE)]


def test_select_one_overlooks_people_far_behind() -> None:
    # 49 × 49 is below a quarter of 100 × 100, 50 × 50 is not.
    assert faces((200, 0, 249, 49), (0, 0, 100, 100)).select("one").sizes.tolist() == [[100, 100]]
    with pytest.raises(SeveralFacesFound):
        faces((200, 0, 250, 50), (0, 0, 100, 100)).select("one")


def test_select_refuses_other_words() -> None:
    with pytest.raises(UsageError, match="one, largest, center or all"):
        faces(TINY).select("centre")  # type: ignore[arg-type]


# Crops


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((1, 112, 112, 3), np.float32), "uint8 RGB 0–255, got float32"),
        (np.zeros((112, 112, 3), np.uint8), r"\(N,S,S,3\), got \(112, 112, 3\)"),
        (np.zeros((1, 112, 96, 3), np.uint8), r"\(N,S,S,3\), got \(1, 112, 96, 3\)"),
        (np.zeros((1, 3, 112, 112), np.uint8), r"\(N,S,S,3\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), "at least 16 pixels"),
    ],
)
def test_crops_are_checked(pixels: Any, message: str) -> None:
    with pytest.raises(InvalidArray, match=message):
        Crops(pixels)


def test_crops_slice_and_join() -> None:
    pixels = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 112, 112, 3), np.uint8)
    crops = Crops(pixels)
    assert (len(crops), crops.size) == (3, 112)
    assert crops[1].pixels.shape == (1, 112, 112, 3)
    assert crops[-1].pixels.max() == 2
    joined = Crops.concatenate([crops[2], Crops.empty(), crops[:2]])
    assert joined.pixels[:, 0, 0, 0].tolist() == [2, 0, 1]
    assert len(Crops.concatenate([])) == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        crops.pixels = pixels  # type: ignore[misc]


# Embeddings


def test_embeddings_are_checked() -> None:
    unit = np.eye(3, 8, dtype=np.float32)
    assert len(Embeddings(unit, "a" * 64)) == 3
    with pytest.raises(InvalidArray, match=r"unit norm; use Embeddings\.normalised"):
        Embeddings(unit * 2, "a" * 64)
    with pytest.raises(InvalidArray, match=r"\(N,D\), got \(8,\)"):
        Embeddings(unit[0], "a" * 64)
    with pytest.raises(InvalidArray, match="contract_id"):
        Embeddings(unit, "")
    broken = unit.copy()
    broken[1, 1] = np.nan
    with pytest.raises(InvalidArray, match="NaN"):
        Embeddings(broken, "a" * 64)


def test_embeddings_from_raw_output() -> None:
    raw = np.random.default_rng(2).normal(size=(4, 16)) * 30
    made = Embeddings.normalised(raw, "a" * 64)
    assert made.vectors.dtype == np.float32
    assert np.linalg.norm(made.vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert made.vectors == pytest.approx(raw / np.linalg.norm(raw, axis=1, keepdims=True), abs=1e-6)
    for bad in (np.zeros((1, 8)), np.full((1, 8), np.nan), np.full((1, 8), np.inf)):
        with pytest.raises(InvalidArray, match="zero, NaN or infinite"):
            Embeddings.normalised(bad, "a" * 64)
    with pytest.raises(InvalidArray, match=r"\(N,D\)"):
        Embeddings.normalised(np.ones(8), "a" * 64)
    assert len(Embeddings.normalised(np.zeros((0, 8)), "a" * 64)) == 0
    assert Embeddings.empty(8, "a" * 64).dim == 8


def test_cosine_is_the_scalar_product_of_one_contract() -> None:
    rng = np.random.default_rng(4)
    a = Embeddings.normalised(rng.normal(size=(3, 32)), "a" * 64)
    b = Embeddings.normalised(rng.normal(size=(5, 32)), "a" * 64)
    scores = a.cosine(b)
    assert scores.shape == (3, 5)
    expected = [[float(np.dot(x, y)) for y in b.vectors.astype(float)] for x in a.vectors]
    assert scores == pytest.approx(np.array(expected), abs=1e-6)
    assert np.diag(a.cosine(a)) == pytest.approx(np.ones(3), abs=1e-6)
    assert a.cosine(a).max() <= 1.0
    assert a[1].cosine(b[2:]).shape == (1, 3)
    assert a[1].contract_id == "a" * 64


def test_vectors_of_two_models_never_meet() -> None:
    a = Embeddings.normalised(np.ones((1, 8)), "a" * 64)
    b = Embeddings.normalised(np.ones((1, 8)), "b" * 64)
    with pytest.raises(ContractMismatch, match="aaaaaaaaaaaa and bbbbbbbbbbbb"):
        a.cosine(b)


def test_embeddings_are_frozen() -> None:
    made = Embeddings.normalised(np.ones((2, 8)), "a" * 64)
    with pytest.raises(ValueError, match="read-only"):
        made.vectors[0, 0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.contract_id = "b"  # type: ignore[misc]


# batches as lists

BATCHES = {
    "Embeddings": Embeddings.normalised(np.eye(3, 8) + 0.1, "a" * 64),
    "Crops": Crops(np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((16, 16, 3), "u1")),
    "Detections": faces((0, 0, 10, 10), (20, 0, 40, 20), (50, 0, 90, 40)),
}


def rows_of(batch: Any) -> list[Any]:
    values = next(getattr(batch, f.name) for f in dataclasses.fields(batch))
    return [value.tolist() for value in values]


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_batches_iterate_and_index_like_lists(batch: Any) -> None:
    rows = rows_of(batch)
    listed = list(batch)
    assert [len(one) for one in listed] == [1, 1, 1]
    assert [rows_of(one)[0] for one in listed] == rows
    assert [rows_of(one)[0] for one in reversed(batch)] == rows[::-1]
    for index in (*range(-3, 3), np.int64(1)):
        assert rows_of(batch[index]) == [rows[index]]
    for outside in (3, 99, -4, np.int64(3)):
        with pytest.raises(IndexError, match=f"no row {outside} in a batch of 3"):
            batch[outside]
    with pytest.raises(IndexError, match="no row 0 in a batch of 0"):
        batch[:0][0]
    with pytest.raises((TypeError, IndexError)):
        batch["1"]
    first, *others = batch
    assert (len(first), len(others)) == (1, 2)


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_slices_masks_and_index_arrays_are_batches(batch: Any) -> None:
    rows = rows_of(batch)
    assert rows_of(batch[1:]) == rows[1:]
    assert rows_of(batch[::-1]) == rows[::-1]
    assert rows_of(batch[np.array([True, False, True])]) == [rows[0], rows[2]]
    assert rows_of(batch[[False, True, False]]) == [rows[1]]
    assert rows_of(batch[[2, 0]]) == [rows[2], rows[0]]
    assert rows_of(batch[np.array([1, 1])]) == [rows[1], rows[1]]
    assert len(batch[:0]) == len(batch[np.zeros(3, bool)]) == len(batch[99:]) == 0
    assert list(batch[:0]) == []


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_in_compares_exactly(batch: Any) -> None:
    assert batch[1] in batch and batch[1] in batch[1:]
    assert batch[1] not in batch[2:]
    assert batch not in batch and "Ada" not in batch


def test_the_same_vector_of_another_model_is_not_in_a_batch() -> None:
    embeddings = BATCHES["Embeddings"]
    assert Embeddings(embeddings[0].vectors, "b" * 64) not in embeddings  # type: ignore[attr-defined]


def test_embeddings_join() -> None:
    embeddings = BATCHES["Embeddings"]
    assert rows_of(Embeddings.concatenate(list(embeddings))) == rows_of(embeddings)
    with pytest.raises(InvalidArray, match=r"Embeddings\.empty"):
        Embeddings.concatenate([])
    with pytest.raises(ContractMismatch, match="aaaaaaaaaaaa and bbbbbbbbbbbb"):
        Embeddings.concatenate([embeddings, Embeddings.empty(8, "b" * 64)])


# what is printed


def test_reprs_say_what_a_person_wants_to_know() -> None:
    assert repr(BATCHES["Embeddings"]) == "Embeddings(3 × 8, contract aaaaaaaa…)"
    assert repr(Embeddings.empty(512, "b" * 64)) == "Embeddings(0 × 512, contract bbbbbbbb…)"
    assert repr(BATCHES["Crops"]) == "Crops(3 × 16×16 RGB)"
    assert repr(BATCHES["Detections"]) == "Detections(3 faces in 600×400, best score 0.90)"
    assert repr(BATCHES["Detections"][1]) == "Detections(1 face in 600×400, best score 0.70)"
    nothing = Detections.empty((40, 50), points=False)
    assert repr(nothing) == "Detections(no face in 50×40, boxes only)"
    assert repr(Match("p1", "Ada", 0.7123, "f1", 3)) == "Match(Ada: cosine 0.71 over 3 faces)"
    given = Match("p1", "Ada", 0.7, "f1", 1, given_to=2)
    assert repr(given) == "Match(Ada: cosine 0.70 over 1 face, given to face 2)"


# Match and Decision


def test_decisions_and_matches_are_frozen() -> None:
    decision = Decision("match", 0.6, 0.4, 0.99, 1e-6, 1e-4, "fmr", 1, "c", False, "above 0.4")
    assert decision.matched
    assert not dataclasses.replace(decision, outcome="review").matched
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.outcome = "no_match"  # type: ignore[misc]
    match = Match("p1", "Ada", 0.7, "f1", 3)
    assert match.metadata == {}
    assert Match("p2", "Bob", 0.1, "f2", 1).metadata is not match.metadata
