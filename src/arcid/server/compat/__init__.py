"""Protocols of other systems over the same gallery, keys, limits and decisions.

Each is off until ``ARCID_COMPAT`` names it. Their routes are described by those systems and by
docs/compat, and are no part of arcid's own OpenAPI description.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from arcid.server.settings import Settings
from arcid.server.settings.service import Protocol

if TYPE_CHECKING:
    from arcid.server.compat.adapter import Adapter


def protocol(name: Protocol) -> Adapter:
    """A protocol's; its routes are built when it is first asked for."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    found: Adapter = module.ADAPTER
    return found


def chosen(settings: Settings) -> list[Adapter]:
    """Those that are switched on."""
    return [protocol(name) for name in settings.compat]
