"""Where deepface keeps its exceptions."""

from arcid.compat.deepface.modules import exceptions

__all__ = ["exceptions"]
