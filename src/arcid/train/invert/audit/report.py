"""The report of ``arcid audit inversion``: numbers with intervals, no picture and no name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from arcid.evaluate.metrics import Rate
from arcid.evaluate.report import write
from arcid.evaluate.report.document import (
    Card,
    Document,
    Table,
    number,
    rate,
    rate_card,
    share,
)
from arcid.train.invert.audit.measure import Against, Point
from arcid.train.invert.audit.run import Audited

_BASIS = {
    "research": "photographs of public research sets",
    "synthetic": "synthetic faces of nobody",
    "consented": "people who agreed to it",
}
_ROLES = {"attacked": "attacked", "int8": "its int8 form", "other": "another"}


def write_report(found: Audited, folder: Path, facts: Mapping[str, str]) -> dict[str, str]:
    """``report.html``, ``.json`` and ``.md`` in ``folder``; returns their paths by kind."""
    return write(folder, document(found, facts), {**found.to_dict(), "measured": dict(facts)})


def document(found: Audited, facts: Mapping[str, str]) -> Document:
    """For people to read."""
    count, people = found.subjects.attacked, len(found.subjects.people)
    own = found.recognisers[0]
    cards = [
        Card("White-box cosine", number(float(found.inverted.cosines.mean())),
             f"mean of {count} pictures to their vectors; least "
             f"{number(float(found.inverted.cosines.min()))}"),
        *(rate_card(f"Taken for the person at FMR {p.target_fmr:g}", p.other)
          for p in own.points),
        *(rate_card(f"… by {one.recogniser}", one.points[-1].other)
          for one in found.recognisers if one.role == "other" and one.points),
        rate_card(f"First of {people} people", own.rank1),
    ]  # fmt: skip
    return Document(
        title="What a thief would see",
        lede=(
            f"Of {count} {'person' if count == 1 else 'people'} a picture was made from a stored "
            f"vector and the weights of {found.model} alone, and shown to recognisers at their "
            f"calibrated thresholds. All are {_BASIS[found.subjects.basis]}. The page holds no "
            "picture and no name."
        ),
        cards=cards,
        tables=[
            _levels(found, own), _success(found), _ranks(found), _changes(found), _looks(found),
        ],
        warnings=_warnings(found),
        facts={
            "recogniser attacked": found.model,
            "people": f"{count} attacked, {people} in the public gallery, from "
                      f"{found.subjects.people.source}",
            "basis": _BASIS[found.subjects.basis],
            "steps": f"{found.settings.steps}, in batches of {found.settings.batch}",
            "batch norms": str(found.inverted.layers),
            "time of the inversion": f"{found.inverted.seconds:.0f} s",
            **facts,
        },
    )  # fmt: skip


def _levels(found: Audited, own: Against) -> Table:
    """Who holds what, and how often what they show passes for the person."""
    store = found.subjects.store
    sealed = "" if store is None else f" (this gallery: {'yes' if store['encrypted'] else 'NO'})"
    rows = [
        ("vector and weights", *(_short(p.other) for p in own.points)),
        ("vector, weights unknown", *(_short(p.other) for p in found.rotated.points)),
        (f"encrypted store, no key{sealed}", *(_short(p.stranger) for p in own.points)),
        ("nothing stolen: a real photo", *(_short(p.genuine) for p in own.points)),
    ]  # fmt: skip
    return Table(
        "Who holds what",
        ("the thief has", *(f"accepted at FMR {p.target_fmr:g}" for p in own.points)),
        rows,
        f"Against another photo of the person, by {own.recogniser} at its own thresholds; 95 % "
        "intervals over people. The weights of packaged and public models are known to everybody. "
        f"Weights unknown is shown by {found.rotated_count} of the vectors, inverted again after a "
        "secret rotation, with other weights than the thief would need. From an encrypted store "
        "there is no vector: the picture of somebody else is shown. Of vectors alone a thief also "
        "learns who is who between two stores of one recogniser, and may hand a vector to a "
        "service that takes vectors.",
    )


def _success(found: Audited) -> Table:
    rows = [
        (f"{one.recogniser} ({_ROLES[one.role]})", f"{p.target_fmr:g}", _threshold(p),
         *(_short(r) for r in (p.same, p.other, p.genuine, p.impostor)))
        for one in found.recognisers
        for p in one.points
    ]  # fmt: skip
    people = len(found.subjects.people)
    return Table(
        "Success by recogniser",
        ("recogniser", "FMR", "cosine", "same photo", "another photo", "genuine", "impostor"),
        rows,
        f"{found.subjects.attacked} pictures against the photo they were made of, and against "
        f"another photo of the person; {people:,} genuine and {people * (people - 1):,} impostor "
        "pairs of real photos. Pictures are handed over as aligned crops, without a detector. "
        "Thresholds marked * are extrapolated by the calibration, † chosen on these impostors.",
    )


def _ranks(found: Audited) -> Table:
    rows = [
        (one.recogniser, share(1 / one.gallery), _short(one.rank1), _short(one.rank1_photos),
         *(number(one.cosines[kind]) for kind in ("same", "other", "genuine", "impostor")))
        for one in found.recognisers
    ]  # fmt: skip
    return Table(
        f"First in a public gallery of {len(found.subjects.people)} people, and mean cosines",
        ("recogniser", "chance", "pictures", "real photos", "same photo", "another photo",
         "genuine", "impostor"),
        rows,
    )  # fmt: skip


def _changes(found: Audited) -> Table:
    own = found.recognisers[0]
    rows = [("as it is", *(_short(p.other) for p in own.points))]
    rows += [
        ("the recogniser runs in int8", *(_short(p.other) for p in one.points))
        for one in found.recognisers
        if one.role == "int8"
    ]
    rows.append(("vectors turned by a secret rotation",
                 *(_short(p.other) for p in found.rotated.points)))  # fmt: skip
    return Table(
        "What changes it",
        ("", *(f"accepted at FMR {p.target_fmr:g}" for p in own.points)),
        rows,
        "Against another photo. Keeping vectors in int8 changes nothing: the least cosine of a "
        f"vector to its int8 form is {found.int8_cosine:.4f}. Withholding scores changes nothing "
        "either: this attack asks no service. Rotation and encryption help as long as their key is "
        "not taken too: from the memory of a running service a vector is as without.",
    )


def _looks(found: Audited) -> Table:
    rows = [
        (f"Fréchet distance over {found.model}'s own embedding to the photos attacked",
         number(found.frechet["pictures"]), number(found.frechet["other_photos"])),
    ]  # fmt: skip
    if found.looks:
        made, real = found.looks["pictures"], found.looks["photos"]
        rows += [
            ("a face is found by the detector", _short(made.found), _short(real.found)),
            ("cosine to the vector, after detector and aligning",
             number(made.cosine), number(real.cosine)),
        ]  # fmt: skip
        if made.live is not None and real.live is not None:
            rows.append((f"judged live by {found.liveness}", _short(made.live), _short(real.live)))
    return Table(
        "Do they look like faces",
        ("", "pictures", "real photos"),
        rows,
        "Both are held up as crops in the middle of a grey square, which is no camera's view. The "
        "Fréchet distance is not the FID of the literature, which is taken over Inception's "
        "features; of few pictures it is too large, so the other photos of the same people stand "
        f"beside it. Liveness: {found.liveness}.",
    )


def _warnings(found: Audited) -> list[str]:
    told = [
        "This is the least a thief can do: an attack by gradient and batch-norm statistics. One "
        "with a generator that was trained on faces makes better pictures.",
        "Recognisers that learnt from one another, or on the same photographs, take pictures for "
        "the same people more often than strangers to each other would.",
    ]
    if not found.inverted.layers:
        told.append(
            "The network holds no batch-norm statistics (it never had any, or they were folded "
            "into its convolutions), so the pictures were made without them."
        )
    told += [f"Not measured with {line}." for line in found.missing]
    for one in found.recognisers:
        told += [f"{one.recogniser}: {line}" for line in one.unsupported]
    return told


def _short(found: Rate) -> str:
    value, between, _ = rate(found)
    return f"{value} ({between})"


def _threshold(point: Point) -> str:
    mark = {"extrapolated": " *", "these people": " †"}.get(point.source, "")
    return f"{point.cosine_threshold:.3f}{mark}"


__all__ = ["document", "write_report"]
