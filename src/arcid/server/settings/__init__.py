"""Settings of the service, from ``ARCID_*`` environment variables or keyword arguments."""

from __future__ import annotations

from arcid.server.settings.parsing import UNIX, is_guessable, is_loopback, origin_of
from arcid.server.settings.photographs import MIB
from arcid.server.settings.service import Settings

__all__ = ["MIB", "UNIX", "Settings", "is_guessable", "is_loopback", "origin_of"]
