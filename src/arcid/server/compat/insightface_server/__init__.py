"""InsightFace Server's REST 0.2 at ``/compat/insightface-server/v1``: people, faces, search, and
enrolment by trusted vectors."""

from __future__ import annotations

from arcid.server.compat.adapter import Adapter
from arcid.server.compat.insightface_server import collections, faces, persons, photos, service
from arcid.server.compat.insightface_server.photos import PREFIX
from arcid.server.compat.insightface_server.refusals import tell
from arcid.server.dialect import Dialect

DIALECT = Dialect(PREFIX, tell, open=frozenset({f"{PREFIX}/v1/health"}))
ADAPTER = Adapter(
    DIALECT,
    (
        photos.health,
        service.router,
        collections.router,
        persons.router,
        faces.router,
        photos.router,
    ),
)
