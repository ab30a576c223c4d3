"""Where insightface keeps ``Face``."""

from arcid.compat.insightface.face import Face

__all__ = ["Face"]
