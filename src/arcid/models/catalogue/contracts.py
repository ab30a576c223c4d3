"""How kinds of recognisers want their crops, for models nobody here has listed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from arcid.models.catalogue.kinds import MEAN, ONE, STD, STD128, ZERO


@dataclass(frozen=True, slots=True)
class InputContract:
    """How a kind of recogniser wants its crops; for ``arcid models import --like KIND``."""

    description: str
    colour: Any
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int = 112
    template: Any = "arcface"
    names: tuple[str | None, str | None] = field(default=(None, None))
    layout: Any = "NCHW"


#: Input contracts of public recognisers, by the name people know them under.
CONTRACTS: dict[str, InputContract] = {
    "arcface": InputContract("ArcFace/InsightFace: RGB, (x-127.5)/127.5", "RGB", MEAN, STD),
    "mobilefacenet": InputContract("MobileFaceNet: RGB, (x-127.5)/128", "RGB", MEAN, STD128),
    "adaface": InputContract("AdaFace: BGR, (x-127.5)/127.5", "BGR", MEAN, STD),
    "sface": InputContract("OpenCV SFace: RGB 0-255, undivided", "RGB", ZERO, ONE),
    "facenet": InputContract(
        "FaceNet-style: RGB, (x-127.5)/128, 160x160 square around the box",
        "RGB", MEAN, STD128, 160, "box",
    ),
    "deepface": InputContract(
        "networks as deepface feeds them: BGR, x/255, square around the box; say --size (224 "
        "VGG-Face, 160 FaceNet, 96 OpenFace, 112 GhostFaceNet)",
        "BGR", ZERO, (255.0,) * 3, 160, "box", layout="NHWC",
    ),
    "omz": InputContract(
        "Open Model Zoo face-reidentification-retail-0095: BGR 0-255, undivided, 128x128 by its "
        "own five points",
        "BGR", ZERO, ONE, 128, "omz",
    ),
    "luxonis": InputContract(
        "Luxonis zoo ArcFace: BGR 0-255, undivided, input 'images', output 'output'",
        "BGR", ZERO, ONE, names=("images", "output"),
    ),
}  # fmt: skip
