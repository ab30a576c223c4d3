"""CompreFace's REST 1.2 at ``/api/v1``. A subject is a person, an example a face of theirs; the key
names the collection, as the one that it is limited to."""

from __future__ import annotations

from arcid.server.compat.adapter import Adapter
from arcid.server.compat.compreface import examples, photos, subjects, vectors
from arcid.server.compat.compreface.asking import PREFIX
from arcid.server.compat.compreface.refusals import tell
from arcid.server.dialect import Dialect

DIALECT = Dialect(PREFIX, tell, open=frozenset({f"{PREFIX}/config"}))
ADAPTER = Adapter(DIALECT, (subjects.router, examples.router, photos.router, vectors.router))
