"""Run by insightface's own Python: what it finds in pictures, as a file of arrays.

ROOT PACK SIZES OUT PHOTO…; SIZES is "auto" or "640x640" or several of them, joined by commas.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
from insightface.app import FaceAnalysis

if __name__ == "__main__":
    root, pack, sizes, out, *photos = sys.argv[1:]
    app = FaceAnalysis(pack, root=root, providers=["CPUExecutionProvider"])
    pairs = [tuple(map(int, size.split("x"))) for size in sizes.split(",") if size != "auto"]
    app.prepare(-1, det_size=pairs or None)
    found = {"tasks": np.array(list(app.models))}
    for number, photo in enumerate(photos):
        faces = app.get(cv2.imread(photo))
        found[f"{number}/count"] = np.array(len(faces))
        if faces and number % 10 == 0:
            most = app.get(cv2.imread(photo), max_num=2)
            found[f"{number}/most"] = np.array([face.bbox for face in most])
        for i, face in enumerate(faces):
            for key, value in face.items():
                found[f"{number}/{i}/{key}"] = np.asarray(value)
    np.savez(out, **found)
