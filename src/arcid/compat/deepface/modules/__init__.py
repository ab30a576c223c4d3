"""Where deepface keeps its exceptions, and its distances of vectors."""

from arcid.compat.deepface.modules import exceptions, verification

__all__ = ["exceptions", "verification"]
