"""Reports from known scores: what the plots draw, what the files say, what never gets in."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from arcid.errors import DatasetInvalid, UsageError
from arcid.evaluate import drift, metrics, report
from arcid.evaluate.embeddings import EmbeddingSet, Failure
from arcid.evaluate.fairness import fairness
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.protocols import (
    evaluate_folder,
    evaluate_gallery,
    evaluate_megaface,
    evaluate_pad,
    evaluate_pair_list,
    split,
    verify,
)
from arcid.evaluate.readers import PadList, PairList, PeopleFolder
from arcid.evaluate.readers._pairs import build
from arcid.evaluate.report import html, identification, markdown, plots, svg
from arcid.evaluate.report.document import (
    Card,
    Document,
    Gallery,
    PicturePair,
    Table,
    rate,
    rate_card,
    share,
)
from arcid.evaluate.sources import Photo

PEOPLE, EACH, DIM = 30, 4, 32
NASTY = '<script>alert("x")</script>|\n"&'


def embeddings(spread: float = 0.5, failed: tuple[int, ...] = (), seed: int = 0) -> EmbeddingSet:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(PEOPLE, DIM))
    rows = np.repeat(centres, EACH, axis=0) + spread * rng.normal(size=(PEOPLE * EACH, DIM))
    names = tuple(f"p{i // EACH}/{i}.jpg" for i in range(len(rows)))
    failures = {i: Failure("no_face_found", f"no face {NASTY}") for i in failed}
    vectors = rows.astype(np.float32)
    vectors[list(failed)] = 0
    return EmbeddingSet(names, vectors, "contract", failures)


def people_folder(found: EmbeddingSet, name: str = "folk") -> PeopleFolder:
    photos = tuple(Photo(n, Path(n)) for n in found.names)
    return PeopleFolder(name, photos, tuple(n.split("/")[0] for n in found.names))


def pair_list(found: EmbeddingSet, name: str = "list") -> PairList:
    photos = [Photo(n, Path(n)) for n in found.names]
    same = [(i, i + 1, True) for i in range(0, len(photos), 2)]
    other = [(i, (i + 7) % len(photos), False) for i in range(len(photos))]
    return build(name, photos, same + other, None, [n.split("/")[0] for n in found.names])


def pad_list() -> tuple[PadList, list[float]]:
    species = (None,) * 40 + ("print",) * 30 + ("mask",) * 2
    photos = tuple(Photo(f"{i}.jpg", Path("x")) for i in range(72))
    rng = np.random.default_rng(0)
    scores = [
        float(np.clip((0.7 if s is None else 0.3) + rng.normal(0, 0.2), 0, 1)) for s in species
    ]
    return PadList("attacks", photos, species, tuple(scores), None), scores


def every_document() -> dict[str, Document]:
    good, bad = embeddings(failed=(3,)), embeddings(1.5, failed=(3,))
    folder, listed = people_folder(good), pair_list(good)
    chosen = split(folder, people=20, enrol=2, probe=2, strangers=-1)
    results = {
        "verification": verify(listed, good, folds=5),
        "pairs": evaluate_pair_list(listed, good),
        "gallery": evaluate_gallery(chosen, good),
        "folder": evaluate_folder(folder, good),
        "megaface": evaluate_megaface(
            good.select(good.names[:60]), folder.people[:60], good.select(good.names[60:])
        ),
        "pad": evaluate_pad(pad_list()[0], 0.5),
        "fairness": fairness(
            good.vectors, ["a" if i < 60 else "b" for i in range(120)], 0.3, people=folder.people,
            failed=good.failed,
        ),
        "compare": drift.compare_embeddings(good, bad, folder.people, names=("good", "bad")),
    }  # fmt: skip
    extras = report.Extras(product=(0.4, 1e-4), embeddings=good, facts={"model": "none"})
    return {name: report.document(result, extras) for name, result in results.items()}


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    return every_document()


@pytest.mark.parametrize(
    "name",
    ["verification", "pairs", "gallery", "folder", "megaface", "pad", "fairness", "compare"],
)
def test_every_result_has_a_report(documents: dict[str, Document], name: str) -> None:
    found = documents[name]
    assert found.cards and found.figures and found.tables
    for figure in found.figures:
        root = ET.fromstring(figure.svg)
        assert root.get("role") == "img" and root.get("aria-label")
        assert root.find("title") is not None and (root.find("desc").text or "")
        assert "nan" not in figure.svg and "inf" not in figure.svg.replace("info", "")
    for table in [*found.tables, *(f.table for f in found.figures if f.table)]:
        assert all(len(row) == len(table.columns) for row in table.rows), table.title
    page = html.page(found, lambda _: None)
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    assert page.count("<svg") == len(found.figures)
    empty = [t for t in found.tables if not t.rows]
    assert len(empty) == (name == "megaface")  # 60 × 60 impostors cannot state an FMR of 1e-4
    assert page.count("too few comparisons to state any") == len(empty)
    text = markdown.text(found)
    assert text.startswith(f"# {found.title}")
    assert all(card.label in text and card.value in text for card in found.cards)


def test_an_unknown_result_is_refused() -> None:
    with pytest.raises(TypeError, match="dict"):
        report.document({})


# plots


def pixels(figure: str, kind: str) -> np.ndarray:
    """(K,2) points of the first line of that role that is no swatch of the legend."""
    paths = re.findall(rf'<path class="line {kind}" d="M([^"]*)"', figure)
    drawn = max(paths, key=len)
    return np.array([[float(v) for v in point.split()] for point in drawn.split("L")])


def test_a_det_of_two_gaussians_is_a_straight_line_of_slope_minus_one() -> None:
    fmr = np.geomspace(1e-5, 0.5, 400)
    deviate = np.array([svg._NORMAL.inv_cdf(f) for f in fmr])
    fnmr = np.array([svg._NORMAL.cdf(-z - 3.0) for z in deviate])  # d′ = 3
    curve = metrics.Roc(-deviate, fmr, 1 - fnmr)
    points = pixels(plots.det(curve, 0.0668, 10**6, 10**6).svg, "neutral")
    scale_x = svg.WIDTH - svg.LEFT - svg.RIGHT
    scale_y = svg.HEIGHT - svg.TOP - svg.BOTTOM
    inside = (points[:, 1] > svg.TOP + 1) & (points[:, 1] < svg.HEIGHT - svg.BOTTOM - 1)
    x, y = points[inside].T
    slope, offset = np.polyfit(x / scale_x, -y / scale_y, 1)
    assert slope == pytest.approx(-1, abs=0.03)
    assert np.abs(-y / scale_y - slope * x / scale_x - offset).max() < 0.02


def test_copies_among_the_photos_are_told(documents: dict[str, Document]) -> None:
    assert not any("cop" in w for n in ("gallery", "folder") for w in documents[n].warnings)
    found = embeddings()
    vectors = found.vectors.copy()
    vectors[1] = vectors[0]
    copied = EmbeddingSet(found.names, vectors, found.contract_id)
    folder, extras = people_folder(copied), report.Extras(embeddings=copied)
    chosen = split(folder, people=20, enrol=1, probe=1)
    for result in (evaluate_folder(folder, copied), evaluate_gallery(chosen, copied)):
        assert any("1 photo is a copy" in w for w in report.document(result, extras).warnings)


@pytest.mark.parametrize(("genuine", "impostor"), [(1, 40), (40, 1), (1, 1)])
def test_a_det_of_one_pair_of_a_kind_has_axes(genuine: int, impostor: int) -> None:
    curve = metrics.roc(np.linspace(0.6, 0.9, genuine), np.linspace(0, 0.3, impostor))
    assert "nan" not in plots.det(curve, 0.0, impostor, genuine).svg


def test_marks_stand_where_their_scores_are() -> None:
    edges = np.linspace(0, 1, 11)
    mated = plots.Counted.of([0.9, 0.95, 0.85, -math.inf], edges)
    other = plots.Counted.of([0.05, 0.1, 0.15], edges)
    assert mated.counts.sum() == 3 and mated.shares.sum() == pytest.approx(1)
    figure = plots.score_histogram(mated, other, [(0.5, "half"), (7.0, "outside")]).svg
    (at,) = re.findall(r'class="mark" d="M([\d.]+)', figure)
    middle = svg.LEFT + 0.5 * (svg.WIDTH - svg.LEFT - svg.RIGHT)
    assert float(at) == pytest.approx(middle, abs=0.1)
    assert "half" in figure and "outside" not in figure


def test_labels_of_near_marks_do_not_cover_one_another() -> None:
    marks = [(0.50, "best accuracy"), (0.51, "FMR 0.01"), (0.52, "product")]
    edges = np.linspace(0, 1, 5)
    counted = plots.Counted.of([0.1, 0.9], edges)
    drawn = plots.score_histogram(counted, counted, marks).svg
    rows = re.findall(r'class="halo" x="[\d.]+" y="([\d.]+)"', drawn)
    assert len(set(rows)) == 3


@pytest.mark.parametrize(
    ("axis", "value", "where"),
    [
        (svg.linear("x", 0, 10), 2.5, 0.25),
        (svg.logarithmic("x", 1e-4, 1), 1e-2, 0.5),
        (svg.probit("x", 0.01, 0.99), 0.5, 0.5),
        (svg.linear("x", 0, 10), 99, 1.0),
    ],
)
def test_axes_place_values(axis: svg.Axis, value: float, where: float) -> None:
    assert axis.place([value])[0] == pytest.approx(where)


def test_ticks_say_what_they_are() -> None:
    assert [t for _, t in svg.linear("x", 0, 1).ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [t for _, t in svg.linear("x", 0.925, 1, share=True).ticks][:2] == ["94 %", "96 %"]
    assert [t for _, t in svg.logarithmic("x", 1e-5, 1).ticks][:3] == ["1e-5", "1e-4", "0.1 %"]
    assert [t for _, t in svg.logarithmic("x", 10, 1e4, rate=False).ticks][-1] == "10 K"
    narrow = svg.logarithmic("x", 0.04, 0.6).ticks
    assert [t for _, t in narrow] == ["5 %", "10 %", "20 %", "50 %"]


def test_fpir_grows_with_the_gallery() -> None:
    found = embeddings(1.5)
    chosen = split(people_folder(found), people=20, enrol=2, probe=2, strangers=-1)
    result = evaluate_gallery(chosen, found)
    (figure,) = identification.fpir_figure(result, found, [(0.45, "here")])
    values = [float(row[2].split()[0]) for row in figure.table.rows]
    sizes = [int(row[1]) for row in figure.table.rows]
    assert sizes[0] == 2 and sizes[-1] == 20
    assert values == sorted(values) and values[-1] > 3 * values[0]
    whole = (result.searches.nonmated_scores >= 0.45).mean()
    assert values[-1] == pytest.approx(100 * whole, abs=0.01)


def test_quality_that_foretells_errors_comes_first() -> None:
    found = embeddings(1.5)
    listed = pair_list(found)
    result = verify(listed, found, folds=5)
    genuine = result.pairs.genuine
    quality = np.ones((len(found), 2))
    quality[:, 1] = np.random.default_rng(0).random(len(found))
    for i in np.argsort(genuine)[:10]:
        quality[listed.first[i], 0] = 0  # told beforehand: these pairs will score low
    extras = report.Extras(qualities=report.Qualities(found.names, ("good", "random"), quality))
    figure = report.document(result, extras).figures[-1]
    assert figure.title == "Does quality foretell errors?"
    assert figure.table.columns == ("left out", "good", "random")
    first = next(row for row in figure.table.rows if row[0].startswith("20"))
    assert float(first[1].split()[0]) < float(first[2].split()[0])


# pages and files


def test_names_from_files_cannot_become_markup() -> None:
    found = Document(
        title=NASTY,
        lede=NASTY,
        cards=[Card(NASTY, "1", NASTY)],
        tables=[Table(NASTY, (NASTY,), [(NASTY,)], NASTY)],
        galleries=[Gallery(NASTY, NASTY, [PicturePair(NASTY, "b", NASTY)])],
        warnings=[NASTY],
        facts={NASTY: NASTY},
        failed=[(NASTY, NASTY)],
    )
    page = html.page(found, lambda _: b"\xff\xd8jpeg")
    assert "<script" not in page and 'alt="&lt;script' in page
    assert page.count("data:image/jpeg;base64,") == 2
    lines = markdown.text(found).splitlines()
    assert "<script" not in "\n".join(lines)
    assert all(line.count("|") - line.count("\\|") in (0, 2, 3, 4) for line in lines)


def test_photos_only_where_they_are_handed_in(documents: dict[str, Document]) -> None:
    found = documents["verification"]
    asked: list[str] = []

    def picture(name: str) -> bytes | None:
        asked.append(name)
        return None if len(asked) % 2 else b"\x89PNG"

    page = html.page(found, picture)
    assert len(asked) == 48 and page.count("data:image/png") == 24
    assert page.count("no picture") == 24
    assert "<img" not in html.page(found) and len(asked) == 48


def test_the_worst_pairs_are_the_worst(documents: dict[str, Document]) -> None:
    found = documents["verification"]
    scores = [
        [float(p.caption.rsplit(" ", 1)[1]) for p in gallery.pairs] for gallery in found.galleries
    ]
    assert scores[0] == sorted(scores[0], reverse=True) and scores[1] == sorted(scores[1])
    result = verify(pair_list(good := embeddings(failed=(3,))), good, folds=5)
    assert scores[0][0] == pytest.approx(result.pairs.impostor.max(), abs=1e-3)
    finite = result.pairs.genuine[np.isfinite(result.pairs.genuine)]
    assert scores[1][0] == pytest.approx(finite.min(), abs=1e-3)


def test_files_are_written_and_read_again(tmp_path: Path) -> None:
    found = embeddings()
    listed = pair_list(found)
    result = verify(listed, found, folds=5)
    record = {**result.to_dict(), "odd": math.nan, "pairs_sha256": report.pairs_sha256(listed)}
    files = report.write(
        tmp_path / "r", report.document(result), record, pairs=result.pairs,
        accepted=result.folds.accepted,
    )  # fmt: skip
    assert set(files) == {"html", "json", "markdown", "scores"}
    assert json.loads(Path(files["json"]).read_text())["odd"] is None
    kept = report.read(tmp_path / "r")
    assert kept.record["accuracy"] == result.accuracy.value
    assert (kept.pairs.scores == result.pairs.scores).all()
    assert (kept.accepted == result.folds.accepted).all()
    difference = drift.compare(kept.pairs, result.pairs).differences[0]
    assert difference.difference == 0
    turned = build("x", listed.photos, [(1, 0, True), (0, 7, False)], None, None)
    assert report.pairs_sha256(turned) != report.pairs_sha256(listed)
    # a later report of another kind leaves no scores of the old one behind
    report.write(tmp_path / "r", report.document(result), record)
    assert not (tmp_path / "r" / "scores.npz").exists()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "cannot be read as a report"),
        ("[]", "names no protocol"),
        ('{"protocol": "folder"}', "no list of pairs"),
        ('{"protocol": "verification", "pairs_sha256": "x"}', "scores.npz cannot be read"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(DatasetInvalid, match=match):
        report.read(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        report.write(tmp_path / "file" / "r", Document("t", "l"), {})


def test_rates_at_the_products_threshold() -> None:
    pairs = PairScores.from_labels([0.9, 0.2, 0.8, 0.1, 0.6, 0.3], list("aabbcd"), list("aabbdc"))
    found = report.at_product_threshold(pairs, (0.5, 1e-4))["at_product_threshold"]
    assert (found["fmr"]["count"], found["fmr"]["trials"]) == (1, 2)
    assert (found["fnmr"]["count"], found["fnmr"]["trials"]) == (2, 4)
    assert report.at_product_threshold(pairs, None) == {}


def test_numbers_in_words() -> None:
    assert [share(v) for v in (0, 1, 0.5, 0.9991, 0.0042, 3e-6, math.nan, None)] == [
        "0 %", "100 %", "50.00 %", "99.910 %", "0.420 %", "3.0e-6", "–", "–",
    ]  # fmt: skip
    assert rate(metrics.Rate(0.25, 0.1, 0.4, 1, 4)) == ("25.00 %", "10.00 % – 40.00 %", "1 of 4")


def test_a_card_says_what_hardly_supports_it() -> None:
    weak = metrics.Rate(0.9, 0.8, 0.95, 90, 100, support="weak")
    assert rate_card("TAR", weak).detail.endswith("weak: its threshold rests on 3 to 30 errors")
    assert rate_card("TAR", weak.to_dict()) == rate_card("TAR", weak)
    assert rate_card("TAR", replace(weak, support="measured")).detail.endswith("90 of 100")
