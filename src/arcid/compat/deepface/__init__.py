"""The Python interface of deepface 0.0.103: ``from arcid.compat.deepface import DeepFace``.

docs/compat/deepface.md lists what is alike, better and different.
"""

from arcid.compat.deepface import DeepFace, modules

__version__ = "0.0.103"

__all__ = ["DeepFace", "__version__", "modules"]
