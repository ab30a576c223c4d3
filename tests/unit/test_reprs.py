"""Nothing that prints a value prints a vector, pixels or a key: no repr, f-string, error or failed
assertion. In a notebook results draw themselves, because there the user asked for it."""

from __future__ import annotations

import base64
import dataclasses
import importlib
import inspect
import io
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

import arcid
from arcid.batch import BatchItem
from arcid.errors import NoFaceFound
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.sources import Photo
from arcid.events import Trace
from arcid.image import PhotoId
from arcid.results import Faces, Identification, PersonVerification, Prepared, Verification
from arcid.types import Crops, Decision, Detections, Embeddings, Hits, Match, Templates
from arcid.video import Frame

pytest_plugins = ["pytester"]
ARRAYS = re.compile(r"\b(Image|FloatArray|NDArray|ndarray|Codes|bytes|bytearray)\b")
SECRETS = re.compile(r"(^|_)(token|secret|password|pin|set_up)$")


def classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(arcid.__path__, "arcid."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value) and value.__module__ == module.name:
                yield value


def leaks(kind: type) -> list[str]:
    """Fields that the repr of a class prints and should not."""
    if dataclasses.is_dataclass(kind):
        if not hasattr(kind.__dict__.get("__repr__"), "__wrapped__"):  # not the generated one
            return []
        shown = {f.name: str(f.type) for f in dataclasses.fields(kind) if f.repr}
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        if kind.__repr__.__code__.co_filename == inspect.getsourcefile(kind):
            return []
        shown = {name: str(value) for name, value in inspect.get_annotations(kind).items()}
    else:
        return []
    return [n for n, wanted in shown.items() if ARRAYS.search(wanted) or SECRETS.search(n)]


def test_no_generated_repr_prints_arrays_bytes_or_secrets() -> None:
    found = {f"{k.__module__}.{k.__qualname__}": leaks(k) for k in classes()}
    assert len(found) > 500
    assert {name: fields for name, fields in found.items() if fields} == {}


@dataclasses.dataclass
class _Bad:
    crop: arcid.types.Image
    token: str
    name: str


def test_the_rule_finds_what_it_forbids() -> None:
    assert leaks(_Bad) == ["crop", "token"]


# public types

MARK = 173  # every pixel; a vector's numbers are 0.17320508 and such
VECTOR = np.tile([0.1732, -0.9848], 1)
PHOTO = PhotoId(np.full((48, 64, 3), MARK, np.uint8))


def embeddings(count: int) -> Embeddings:
    return Embeddings.normalised(np.tile(VECTOR, (count, 4)), "f9e25727" * 8)


def detections(count: int) -> Detections:
    boxes = np.tile(np.float32([120, 80, 300, 310]), (count, 1))
    return Detections(boxes, np.full(count, 0.98), np.zeros((count, 5, 2)), (480, 640))


def crops(count: int) -> Crops:
    return Crops(np.full((count, 112, 112, 3), MARK, np.uint8))


def quality(*codes: str) -> Any:
    gate = arcid.QualityGate()
    (found,) = gate.assess(np.full((480, 640, 3), MARK, np.uint8), detections(1), crops(1))
    reasons = tuple(r for r in found.reasons if r.code in codes)
    return dataclasses.replace(found, reasons=reasons)


def faces(count: int, *codes: str) -> Faces:
    return Faces(
        detections(count), crops(count), embeddings(count), (quality(*codes),) * count, PHOTO
    )


def decision(outcome: Any = "match", cosine: float | None = 0.71, **changes: Any) -> Decision:
    values = {
        "outcome": outcome, "cosine": cosine, "cosine_threshold": 0.32, "probability": 0.99,
        "fmr": 1e-6, "target_fmr": 1e-4, "target_fpir": None, "gallery_size": 1,
        "calibration_id": "c", "extrapolated": False, "reason": "the cosine is above 0.32",
    }  # fmt: skip
    return Decision(**(values | changes))


SEARCH = {"target_fmr": None, "target_fpir": 0.01, "gallery_size": 1200}
ADA = Match("p1", "Ada", 0.7123, "f1", 3)
FACE = faces(1)[0]
ALIGNED = Faces(None, crops(1), embeddings(1), (), PHOTO)

PUBLIC: list[tuple[Any, str]] = [
    (embeddings(3), "Embeddings(3 × 8, contract f9e25727…)"),
    (crops(3), "Crops(3 × 112×112 RGB)"),
    (detections(2), "Detections(2 faces in 640×480, best score 0.98)"),
    (FACE, "Face(box 120,80–300,310, score 0.98, quality ok)"),
    (
        faces(1, "low_contrast", "blurred")[0],
        "Face(box 120,80–300,310, score 0.98, quality blurred, low contrast)",
    ),
    (ALIGNED[0], "Face(aligned crop 112×112)"),
    (faces(2), "Faces(2 faces in 640×480, best score 0.98)"),
    (faces(0), "Faces(no face in 640×480)"),
    (ALIGNED, "Faces(1 aligned crop 112×112)"),
    (
        Prepared(detections(2), crops(2), (), PHOTO),
        "Prepared(2 faces in 640×480, best score 0.98, not embedded)",
    ),
    (ADA, "Match(Ada: cosine 0.71 over 3 faces)"),
    (decision(), "Decision(match: cosine 0.71 ≥ 0.32 at FMR 1e-4)"),
    (decision("no_match", 0.1), "Decision(no match: cosine 0.10 < 0.32 at FMR 1e-4)"),
    (
        decision("review", 0.5, extrapolated=True, **SEARCH),
        "Decision(review: cosine 0.50 ≥ 0.32 at FPIR 0.01 among 1,200 templates, extrapolated)",
    ),
    (
        decision("no_match", None, **(SEARCH | {"gallery_size": 0})),
        "Decision(no match: nobody to compare with at FPIR 0.01)",
    ),
    (
        Verification(decision(), FACE, FACE),
        "Verification(match: cosine 0.71 ≥ 0.32 at FMR 1e-4)",
    ),
    (
        PersonVerification(decision(), FACE, ADA),
        "PersonVerification(Ada, match: cosine 0.71 ≥ 0.32 at FMR 1e-4)",
    ),
    (
        Identification([ADA], decision(**SEARCH), FACE),
        "Identification(Ada, match: cosine 0.71 ≥ 0.32 at FPIR 0.01 among 1,200 templates)",
    ),
    (
        Identification([ADA], decision("no_match", 0.1, **SEARCH), FACE),
        "Identification(no match: cosine 0.10 < 0.32 at FPIR 0.01 among 1,200 templates)",
    ),
    (Hits([[ADA], []], 1200), "Hits(2 probes among 1,200 templates: 1, 0 people)"),
    (
        Templates(ADA, np.float32([0.7, 0.6])),
        "Templates(2 templates, nearest Match(Ada: cosine 0.71 over 3 faces))",
    ),
    (BatchItem("a.jpg", faces(1)), "BatchItem(a.jpg: Faces(1 face in 640×480, best score 0.98))"),
    (
        BatchItem("b.jpg", None, NoFaceFound("no face was found")),
        "BatchItem(b.jpg: no_face_found: no face was found)",
    ),
    (PhotoId(np.full((48, 64, 3), MARK, np.uint8)), "PhotoId(not computed)"),
    (
        EmbeddingSet(("a", "b"), embeddings(2).vectors, "f9e25727" * 8),
        "EmbeddingSet(2 × 8, 0 failed, contract f9e25727…)",
    ),
]
OTHERS: list[Any] = [
    arcid.NewFace(embeddings(1), crop=crops(1).pixels[0]),
    Trace(embeddings(1), crops(1).pixels[0]),
    Frame(np.full((48, 64, 3), MARK, np.uint8), 0.0, 0.0, 0),
    Photo("a.jpg", np.full((48, 64, 3), MARK, np.uint8)),
    Photo("a.jpg", bytes([MARK]) * 99),
]


def kept_quiet(text: str) -> None:
    for number in ("173, 173", "173 173", "xad", "0.1732", "0.0866", "-0.98", "-0.49", "array("):
        assert number not in text, text


@pytest.mark.parametrize(("value", "words"), PUBLIC, ids=[words for _, words in PUBLIC])
def test_reprs_say_what_a_person_wants_to_know(value: Any, words: str) -> None:
    assert repr(value) == words


@pytest.mark.parametrize(
    "value", [*(value for value, _ in PUBLIC), *OTHERS], ids=lambda v: type(v).__name__
)
def test_nothing_that_prints_a_value_prints_a_vector_or_pixels(value: Any) -> None:
    @dataclasses.dataclass
    class Holder:
        held: Any

    for text in (repr(value), str(value), f"{value} {value!r:>40}", "%s %r" % (value, value)):  # noqa: UP031
        kept_quiet(text)
    kept_quiet(repr([value, {"a": value}, (value,), Holder(value)]))
    kept_quiet(str(ValueError("wrong", value)) + repr(KeyError(value)))


def test_a_failed_assertion_prints_no_vector(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import numpy as np
        from arcid import Crops, Embeddings

        def test_it():
            a = Embeddings.normalised(np.tile([0.1732, -0.9848], (3, 4)), "f9e25727" * 8)
            crops = Crops(np.full((1, 112, 112, 3), 173, np.uint8))
            assert [a, crops] == [a[0], crops[0]]
        """
    )
    done = pytester.runpytest_inprocess("-vv", "-p", "no:cacheprovider")
    done.assert_outcomes(failed=1)
    output = done.stdout.str()
    assert "Embeddings(3 × 8, contract f9e25727…)" in output
    kept_quiet(output.partition("E  ")[2])


# notebooks

NAME = "<script>alert('Ada & co')</script>"
DRAWN = [
    (FACE, "box 120,80–300,310<br>score 0.98<br>quality ok", 1),
    (faces(2), "2 faces in 640×480", 2),
    (faces(0), "no face in 640×480", 0),
    (faces(30), "and 6 more", 24),
    (ALIGNED, "1 aligned crop 112×112", 1),
    (Verification(decision(), FACE, FACE), "match: cosine 0.71 ≥ 0.32 at FMR 1e-4", 2),
    (PersonVerification(decision(), FACE, dataclasses.replace(ADA, name=NAME)), "match", 1),
    (
        Identification([dataclasses.replace(ADA, name=NAME)], decision(**SEARCH), FACE),
        "the cosine is above 0.32",
        1,
    ),
    (Identification([], decision("no_match", None, **SEARCH), FACE), "nobody to compare with", 1),
]


@pytest.mark.parametrize(("value", "words", "pictures"), DRAWN)
def test_results_draw_themselves_in_a_notebook(value: Any, words: str, pictures: int) -> None:
    page = value._repr_html_()
    assert words in page
    drawn = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(drawn) == pictures
    for one in drawn:
        crop = np.asarray(Pil.open(io.BytesIO(base64.b64decode(one))))
        assert crop.shape == (112, 112, 3) and abs(int(crop.mean()) - MARK) <= 2
    kept_quiet(re.sub(r'src="[^"]+"', "", page))
    assert "<script" not in page and "http" not in page
    if NAME in repr(value):
        assert "&lt;script&gt;alert(&#x27;Ada &amp; co&#x27;)&lt;/script&gt;" in page


@pytest.mark.parametrize(("value", "words", "pictures"), DRAWN)
def test_drawings_are_whole_and_name_no_colour(value: Any, words: str, pictures: int) -> None:
    page = value._repr_html_()
    tags = re.findall(r"<(/?)(\w+)[^>]*>", page)
    open_tags: list[str] = []
    for closing, tag in tags:
        if tag in ("img", "br"):
            continue
        if closing:
            assert open_tags.pop() == tag
        else:
            open_tags.append(tag)
    assert not open_tags
    colours = re.findall(r"(?:color|background)[^;\"]*", re.sub(r'src="[^"]+"', "", page))
    assert set(colours) <= {"color:inherit"}, "a light or a dark notebook would hide this"


def test_a_crop_of_any_size_is_drawn(tmp_path: Path) -> None:
    small = Faces(None, Crops(np.full((1, 48, 48, 3), MARK, np.uint8)), embeddings(1), (), PHOTO)
    assert "aligned crop 48×48" in small._repr_html_()
