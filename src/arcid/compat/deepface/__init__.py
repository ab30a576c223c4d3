"""The Python interface of deepface 0.0.103: ``from arcid.compat.deepface import DeepFace``.

docs/compat/deepface.md lists what is alike, better and different.
"""

from arcid.compat.deepface import DeepFace, modules
from arcid.compat.deepface.DeepFace import __version__

__all__ = ["DeepFace", "__version__", "modules"]
