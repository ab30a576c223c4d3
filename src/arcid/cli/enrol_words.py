"""What ``arcid enrol`` says of what became of the photos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arcid.cli.output import error_dict, led, message_of, note, say
from arcid.errors import GalleryError, by_reason, in_words

if TYPE_CHECKING:
    from arcid.apps.enrol import EnrolReport, Rejection
    from arcid.apps.enrol_writing import Outcome
    from arcid.apps.holdout import Holdout

KNOWN = "already_exists"  # of a photo that was enrolled by an earlier call
SHOWN = 5  # files that were passed over


def known_before(report: EnrolReport) -> int:
    """How many photos were enrolled by an earlier call."""
    return sum(r.error.code == KNOWN for r in report.rejected)


def note_passed_over(folder: Path, people: Mapping[str, Sequence[Path]]) -> None:
    """Say which files of a folder with one folder per person are nobody's photo."""
    from arcid.apps.importing.stores import Folder
    from arcid.image import SUFFIXES

    taken = {photo for photos in people.values() for photo in photos}
    over = [name for name in Folder(folder).names() if folder / name not in taken]
    if over:
        more = f" and {len(over) - SHOWN:,} more" if len(over) > SHOWN else ""
        note(
            f"passed over: {', '.join(over[:SHOWN])}{more}; read are {', '.join(sorted(SUFFIXES))} "
            "that lie directly in a person's folder"
        )


@contextmanager
def telling_what_is_kept(outcomes: Sequence[Outcome]) -> Iterator[None]:
    """Where the gallery stops everything, say that what was enrolled up to then is."""
    try:
        yield
    except GalleryError as error:
        if count := sum(problem is None for _, problem in outcomes):
            photos = "1 photo is" if count == 1 else f"{count:,} photos are"
            error.message += f". {photos} enrolled already; the same command goes on"
        raise


def report_dict(report: EnrolReport, collection: str, measured: Holdout | None) -> dict[str, Any]:
    return {
        "collection": collection,
        "photos": report.photos,
        "enrolled": report.enrolled,
        "people": report.people,
        "already_enrolled": known_before(report),
        "rejected_by_reason": by_reason(r.error.code for r in report.rejected),
        "rejected": _failures(report.rejected),
        "seconds": round(report.seconds, 3),
        "photos_per_second": round(report.photos_per_s, 2),
        "holdout": None
        if measured is None
        else {**measured.to_dict(), "failed": _failures(measured.failed)},
    }


def _failures(failed: Sequence[Rejection]) -> list[dict[str, Any]]:
    return [{"photo": r.label, "person": r.person, **error_dict(r.error)} for r in failed]


def print_report(report: EnrolReport, collection: str, measured: Holdout | None) -> None:
    known = known_before(report)
    refused = [r for r in report.rejected if r.error.code != KNOWN]
    people = "1 person" if report.people == 1 else f"{report.people} people"
    say(
        f"Enrolled {report.enrolled} of {report.photos} photos, {people}, into {collection}: "
        f"{report.photos_per_s:.1f} photos per second"
    )
    if known:
        say(f"{known:,} were enrolled before; they were skipped")
    if report.consents:
        who = "1 person" if report.consents == 1 else f"{report.consents:,} people"
        say(f"Consent was recorded of {who} enrolled before")
    if refused:
        reasons = by_reason(r.error.code for r in refused)
        say(f"{len(refused):,} were refused: {in_words(reasons)}")
    if measured is not None:
        _print_holdout(measured)
    for r in refused:
        note(f"refused: {led(message_of(r.error), r.label)}")
    for failure in [] if measured is None else measured.failed:
        note(f"failed read: {led(message_of(failure.error), failure.label)}")


def _print_holdout(measured: Holdout) -> None:
    say(
        f"Held-out probes: {measured.probes}, searched among {measured.gallery_people} people "
        f"with {measured.gallery_faces} faces"
    )
    for k, count in measured.top.items():
        share = count / measured.probes if measured.probes else 0.0
        say(f"Top-{k}: {share:.2%} ({count} / {measured.probes})")
    reasons = f": {in_words(measured.by_reason())}" if measured.failed else ""
    say(f"Failed reads: {len(measured.failed)} / {measured.probes}{reasons}")
    if measured.already_enrolled:
        say(f"Left out, enrolled earlier: {measured.already_enrolled}")
