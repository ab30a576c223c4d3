"""Amazon Rekognition's face operations, shape 2016-06-27, at ``/compat/rekognition``.

The session token of a client's credentials is arcid's API key; their signature proves nothing that
the key does not, and is not looked at.
"""

from __future__ import annotations

from starlette.datastructures import Headers

from arcid.server.compat.adapter import Adapter
from arcid.server.compat.rekognition.refusals import tell
from arcid.server.compat.rekognition.wire import PREFIX, router
from arcid.server.dialect import Dialect


def _key(headers: Headers) -> str | None:
    return headers.get("x-amz-security-token") or None


ADAPTER = Adapter(Dialect(PREFIX, tell, key=_key), (router,))
