"""The Python interface of insightface 2.1: ``import arcid.compat.insightface as insightface``.

``app.FaceAnalysis`` runs packs of ``~/.insightface/models`` or, by ``name="arcid"``, the models
that arcid brings along. Pictures are (H,W,3) uint8 **BGR** here, as insightface takes them.
docs/compat/insightface.md lists what is alike, better and different.
"""

from arcid.compat.insightface import app, data, model_zoo, utils

__version__ = "2.1"

__all__ = ["__version__", "app", "data", "model_zoo", "utils"]
