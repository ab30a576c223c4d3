"""Jobs begun: what each kind is to do is listed at once, so that what is wrong is said at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from arcid.apps.duplicates import Runs
from arcid.apps.importing import Item, Left, Listing, Source
from arcid.apps.jobs.jobs import Jobs
from arcid.apps.jobs.records import Job, Origin
from arcid.calibration import Calibration
from arcid.errors import InputError, ModelUnsupported
from arcid.gallery import Gallery
from arcid.gallery import rules as _rules
from arcid.gallery.schema import people
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import consents, contracts, policies
from arcid.gallery.store.audit import actor_now
from arcid.gallery.store.keys import chunks
from arcid.models import weights
from arcid.pipeline import Pipeline
from arcid.types import Selection


@dataclass(frozen=True, slots=True)
class Options:
    """How photos of an import are taken."""

    select: Selection = "prominent"
    require_quality: bool = True
    allow_duplicate: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "select": self.select,
            "require_quality": self.require_quality,
            "allow_duplicate": self.allow_duplicate,
        }


def preview(gallery: Gallery, collection: str, source: Source) -> Listing:
    """What an import of a source would take into a collection, and what not and why; no photo is
    looked at. Raises ``CollectionNotFound``, ``InputError``."""
    listing = source.listing()
    with _collections.reading(gallery.database, collection) as (connection, own):
        if not policies.find(connection, own).consent:
            return listing
        agreed = sa.select(people.c.name_key).where(
            people.c.collection_id == own["id"], consents.AGREED
        )
        known = set(connection.execute(agreed).scalars())
    items: list[Item] = []
    left = list(listing.left)
    for item in listing.items:
        if source.about(item.person).consent or _rules.name_key(item.person) in known:
            items.append(item)
        else:
            left.append(Left(
                item.label, item.person, "consent_missing",
                "the collection takes faces of people who agreed, and no consent comes along",
            ))  # fmt: skip
    return Listing(items, left)


def begin_import(
    gallery: Gallery,
    collection: str,
    source: Source,
    options: Options,
    *,
    origin: Origin = "service",
) -> Job:
    """Raises as ``preview``."""
    found = preview(gallery, collection, source)
    return Jobs(gallery).begin(
        collection, "import", items_=found.items, left=found.left, source=source.spec,
        options=options.to_dict(), origin=origin,
    )  # fmt: skip


def begin_deletion(
    gallery: Gallery, collection: str, who: Sequence[str], *, origin: Origin = "service"
) -> Job:
    """Delete people by id or name; who is not there is refused."""
    if not who:
        raise InputError("name whom to delete, by id or name")
    ids: dict[str, None] = {}
    left: list[Left] = []
    with _collections.reading(gallery.database, collection) as (connection, own):
        named = sa.select(people.c.uid, people.c.name_key).where(
            people.c.collection_id == own["id"]
        )
        by_id: set[str] = set()
        by_name: dict[str, str] = {}
        for part in chunks(list(who)):
            keys = [_rules.name_key(name.strip()) for name in part]
            either = sa.or_(people.c.uid.in_(part), people.c.name_key.in_(keys))
            for row in connection.execute(named.where(either)):
                by_id.add(row.uid)
                by_name[row.name_key] = row.uid
    for one in who:
        uid = one if one in by_id else by_name.get(_rules.name_key(one.strip()))
        if uid is None:
            left.append(Left(one, "", "person_not_found", "nobody of this id or name is there"))
        else:
            ids[uid] = None
    return Jobs(gallery).begin(
        collection, "delete_people", items_=[Item("", uid) for uid in ids], left=left,
        origin=origin,
    )  # fmt: skip


def begin_reembedding(
    gallery: Gallery, collection: str, pipeline: Pipeline, *, origin: Origin = "service"
) -> Job:
    """Embed the kept crops with the pipeline's model; faces without a crop are refused."""
    contract = pipeline.embedder.contract_id
    name, template = pipeline.provenance["model"], pipeline.embedder.template
    check_cut(name, template, [usage.contract_id for usage in gallery.contracts(collection)])
    with _collections.reading(gallery.database, collection) as (connection, own):
        todo, _, _ = contracts.tally(connection, own, contract)
        stuck = contracts.stuck(connection, own, contract)
    left = [
        Left(uid, "", "crop_missing", "no crop of this face is kept: enrol the person again")
        for uid in stuck
    ]
    return Jobs(gallery).begin(collection, "reembed", left=left, total=todo, origin=origin)


def check_cut(name: str, template: str, known: Sequence[str]) -> None:
    """Kept crops are cut for the recogniser they were enrolled with; raise ``ModelUnsupported``
    where the one of that name wants another cut. ``known``: contracts of the collection."""
    for contract in known:
        old = weights.of_contract(contract)
        if old and old.manifest.template != template:
            raise ModelUnsupported(
                f"{name} wants faces cut by {template!r}, the kept crops were cut by "
                f"{old.manifest.template!r} for {old.name}: enrol people again"
            )


def begin_duplicates(
    gallery: Gallery, collection: str, calibration: Calibration, **options: Any
) -> Job:
    """``options``: as ``duplicates.Runs.begin``. The run is worked on where runs are."""
    run = Runs(gallery).begin(collection, calibration, actor=actor_now(), **options)
    return Jobs(gallery).begin(collection, "duplicates", run_id=run.id)


def unfinished(
    gallery: Gallery,
    collection: str,
    source: Source,
    options: Options,
    origin: Origin = "command",
) -> Job | None:
    """The import of the same source into the same collection, photos taken in the same way, that
    did not end, newest first."""
    found: Iterable[Job] = reversed(Jobs(gallery).every(ended=False))
    for job in found:
        same = (job.kind, job.collection, job.origin) == ("import", collection, origin)
        if same and (job.source, job.options) == (source.spec, options.to_dict()):
            return job
    return None
