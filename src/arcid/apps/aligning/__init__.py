"""A folder of photos by person → aligned crops that training reads, and why the others are not.

    listing = list_photos(Path("people"))
    done = align_photos(listing, load_detector(), Path("crops"), How())

Decoding, detection and cutting run in threads ahead of the one that writes; memory is that of a few
dozen photos, and about a kilobyte of facts for each. Every photo that is finished is a line of a
journal, after its crop took its place, so that the same call goes on wherever it was stopped, and
takes in photos that came, changed or went since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from arcid import batch, detect, files
from arcid.apps.aligning.cutting import Cutter, How
from arcid.apps.aligning.journal import Entry, Journal
from arcid.apps.aligning.listing import Listing, Photo, list_photos
from arcid.apps.aligning.output import Output
from arcid.detect import Detector
from arcid.errors import ArcidError, UsageError, by_reason

STEM = 60  # letters of a photo's name that its crop keeps
COLUMNS = ("photo", "person", "crop", "left_out", "detail", "faces", "eyes_px", "score")


@dataclass(frozen=True, slots=True)
class Report:
    """What became of every photo."""

    output: Output
    entries: Sequence[Entry]  # in the order of the folder
    looked_at: int  # photos, by this call
    known: int  # photos that were finished before
    source: Mapping[str, Any]  # what a recipe's ``data.sources`` says to read the crops
    seconds: float

    @property
    def crops(self) -> int:
        return sum(not entry.reason for entry in self.entries)

    @property
    def people(self) -> int:
        """Who got at least one crop."""
        return len({entry.person for entry in self.entries if not entry.reason})

    @property
    def chosen(self) -> int:
        """Crops from photos in which several faces may be meant."""
        return sum(entry.rivals > 1 for entry in self.entries if not entry.reason)

    @property
    def conflicts(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.reason == "conflict"]

    def left_out(self) -> dict[str, int]:
        """How many by reason, the commonest first."""
        return by_reason(entry.reason for entry in self.entries if entry.reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "out": str(self.output.out),
            "report": str(self.output.report),
            "people": self.people,
            "photos": len(self.entries),
            "crops": self.crops,
            "left_out": len(self.entries) - self.crops,
            "left_out_by_reason": self.left_out(),
            "several_faces": self.chosen,
            "looked_at": self.looked_at,
            "source": dict(self.source),
            "seconds": round(self.seconds, 3),
        }


def align_photos(
    listing: Listing,
    detector: Detector,
    out: Path,
    how: How,
    *,
    advance: Callable[[int], object] = lambda count: None,
) -> Report:
    """One aligned crop of every photo that shows its person, written to ``out``.

    ``out``: a folder of crops by person, or, where its name ends in ``.tar``, one tar; with
    ``how.shards`` a folder of so many. ``advance`` is told of photos as they are finished, those of
    earlier calls at once. The photos are never written to.

    A picture that one person has twice is cut once; one that two people have belongs to neither and
    is a conflict. Raises ``UsageError`` where ``out`` holds anything but an earlier call's crops of
    the same folder, made in the same way, where another process is at it, or where it lies in the
    folder; ``StorageFull``, ``LandmarksRequired`` and ``ModelError`` kinds. What was finished then
    is kept.
    """
    started = time.perf_counter()
    output = Output.at(out, how.shards)
    output.require_apart(listing.root)
    made = {
        "folder": str(listing.root.resolve()),
        "detector": detect.name_of(detector),
        **how.to_dict(),
    }
    with Journal.opened(output.journal, made, output.require_free) as journal:
        known = _cut_all(listing.photos, Cutter(detector, how), output, journal, advance)
        ready = _settled([journal.entries[photo.name] for photo in listing.photos])
        output.finish(
            [entry.crop for entry in ready if not entry.reason],
            written={entry.crop for entry in journal.every if entry.crop},
        )
        entries = sorted([*ready, *listing.left_out], key=lambda entry: entry.photo.split("/"))
        files.write_csv(output.report, COLUMNS, map(_row, entries), private=True)
    looked_at, seconds = len(listing.photos) - known, time.perf_counter() - started
    return Report(output, entries, looked_at, known, how.source(out), seconds)


def _cut_all(
    photos: Sequence[Photo],
    cutter: Cutter,
    output: Output,
    journal: Journal,
    advance: Callable[[int], object],
) -> int:
    """Look at whatever is not finished; how many were."""
    known = {p.name: journal.entries.get(p.name) for p in photos}
    names = _names(photos, known, cutter.how.suffix)
    present = output.present()
    written = {entry.crop for entry in journal.every}
    if foreign := sorted(present - written - set(names.values())):
        raise UsageError(
            f"{output.out} holds {len(foreign)} photos that are no crops of this folder, as "
            f"{foreign[0]}; training would read them: move them away"
        )
    finished = [
        entry
        for photo in photos  # what could not be opened is tried again
        if (entry := known[photo.name]) and entry.picture and entry.stamp == photo.stamp
    ]
    done = {entry.photo for entry in _settled(finished) if entry.reason or entry.crop in present}
    advance(len(done))
    work = ((photo, photo) for photo in photos if photo.name not in done)
    for photo, answer in batch.run(work, cutter, list):
        if isinstance(answer, ArcidError):
            raise answer
        entry, crop = answer
        if crop:
            entry = replace(entry, crop=names[photo.name])
            files.write_bytes(output.crops / entry.crop, crop, private=True)
        journal.add(entry)
        advance(1)
    return len(done)


def _names(
    photos: Iterable[Photo], known: Mapping[str, Entry | None], suffix: str
) -> dict[str, str]:
    """Photo → its crop, below the crops: one folder for each person, none deeper, for a deeper one
    would be somebody else to training. Names once given stay; no two differ in case alone."""
    names = {p.name: e.crop for p in photos if (e := known[p.name]) is not None and e.crop}
    taken = {name.casefold() for name in names.values()}
    for photo in photos:
        if photo.name in names:
            continue
        person, _, inside = photo.name.partition("/")
        stem = f"{person}/{inside.rpartition('.')[0].replace('/', '-')[:STEM]}"
        name, number = stem + suffix, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        names[photo.name] = name
        taken.add(name.casefold())
    return names


def _settled(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, those that share a picture left out but for one person's first."""
    pictures: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.crop:
            pictures.setdefault(entry.picture, []).append(entry)

    def settle(entry: Entry) -> Entry:
        same = pictures[entry.picture] if entry.crop else [entry]
        others = sorted(e.photo for e in same if e.person != entry.person)
        if others:
            return replace(entry, reason="conflict", detail=f"the same picture is {others[0]}")
        if entry.photo != same[0].photo:
            detail = f"the same picture is {same[0].photo}"
            return replace(entry, reason="duplicate", detail=detail)
        return entry

    return [settle(entry) for entry in entries]


def _row(entry: Entry) -> tuple[object, ...]:
    return (
        entry.photo, entry.person, "" if entry.reason else entry.crop, entry.reason, entry.detail,
        "" if entry.faces is None else entry.faces,
        "" if entry.eyes_px is None else entry.eyes_px,
        "" if entry.score is None else entry.score,
    )  # fmt: skip


__all__ = ["COLUMNS", "How", "Listing", "Report", "align_photos", "list_photos"]
