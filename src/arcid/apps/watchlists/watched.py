"""The lists one camera looks for, with their templates and thresholds, as they are now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from arcid.apps.watchlists import store
from arcid.apps.watchlists.budget import Budget, budget
from arcid.apps.watchlists.flows import flow
from arcid.apps.watchlists.matching import Templates
from arcid.apps.watchlists.records import Watchlist
from arcid.events import Blocks, Events
from arcid.gallery import Gallery
from arcid.gallery.store import journal
from arcid.pipeline import Pipeline
from arcid.types import Decision, Embeddings, Match


@dataclass(slots=True, eq=False)
class Watched:
    """One list at one camera."""

    watchlist: Watchlist
    templates: Templates
    budget: Budget
    blocks: Blocks
    change: int  # of the gallery, when the templates were read

    def decide(
        self, pipeline: Pipeline, probe: Embeddings
    ) -> tuple[list[Match], Decision, Decision]:
        """Who of the list a face is nearest to, and the decisions at both rates: alert, review."""
        found = [m for m in self.templates.nearest(probe) if not self.blocks.refuse(m, probe)]
        size = len(self.templates)
        alert, review = (
            pipeline.decide(found, size, fpir=line.target_fpir, unsupported="extrapolate")
            for line in (self.budget.alert, self.budget.review)
        )
        return found, alert, review


def read(
    gallery: Gallery, pipeline: Pipeline, camera: str, known: dict[str, Watched]
) -> dict[str, Watched]:
    """Every list that has not expired and that the camera looks for, by its id. Templates are
    read where something changed; thresholds follow the list's size and the faces seen."""
    contract = pipeline.embedder.contract_id
    found: dict[str, Watched] = {}
    with gallery.database.read() as connection:
        change = journal.head(connection).last_change
        seen = flow(connection, camera)
        for row in store.unexpired(connection, datetime.now(UTC)):
            own = store.record(row)
            if not own.watches(camera):
                continue
            old = known.get(own.id)
            same = old and (old.watchlist.version, old.change) == (own.version, change)
            templates = old.templates if old and same else Templates(connection, row, contract)
            terms = own.terms
            now = budget(
                terms.false_alerts_per_hour, terms.reviews_per_hour, len(templates), seen,
                pipeline.calibration,
            )  # fmt: skip
            found[own.id] = Watched(own, templates, now, Blocks(), change)
    blocks = {
        name: Blocks(Events(gallery).blocked(name, contract))
        for name in {one.watchlist.collection for one in found.values()}
    }
    for one in found.values():
        one.blocks = blocks[one.watchlist.collection]
    return found
