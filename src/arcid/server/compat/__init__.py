"""Protocols of other systems over the same gallery, keys, limits and decisions.

Each is off until ``ARCID_COMPAT`` names it. Their routes are described by those systems and by
docs/compat, and are no part of arcid's own OpenAPI description.
"""

from __future__ import annotations

from collections.abc import Mapping

from arcid.server.compat import compreface, insightface_server, rekognition
from arcid.server.compat.adapter import Adapter
from arcid.server.settings import Settings

ADAPTERS: Mapping[str, Adapter] = {
    "compreface": compreface.ADAPTER,
    "rekognition": rekognition.ADAPTER,
    "insightface-server": insightface_server.ADAPTER,
}


def chosen(settings: Settings) -> list[Adapter]:
    """Those that are switched on."""
    return [ADAPTERS[name] for name in settings.compat]
