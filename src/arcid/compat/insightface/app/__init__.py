"""``FaceAnalysis`` and the ``Face`` it answers with."""

from arcid.compat.insightface.app.face_analysis import FaceAnalysis
from arcid.compat.insightface.face import Face

__all__ = ["Face", "FaceAnalysis"]
