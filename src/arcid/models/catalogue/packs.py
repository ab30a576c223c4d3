"""InsightFace's archives of several models."""

from __future__ import annotations

from arcid.models.catalogue.kinds import INSIGHTFACE_LICENCE, Pack, SourceFile

_RELEASE = "https://github.com/deepinsight/insightface/releases/download/v0.7"
INSIGHTFACE_PACKS = tuple(
    Pack(name, SourceFile(f"{name}.zip", sha, size, f"{_RELEASE}/{name}.zip"),
         INSIGHTFACE_LICENCE, models,
         {"scrfd_10g": "scrfd_10g_bnkps.onnx"} if name == "antelopev2" else {})
    for name, sha, size, models in (
        ("buffalo_l", "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
         288_621_354, ("scrfd_10g", "w600k_r50")),
        ("buffalo_m", "d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9",
         275_951_529, ("w600k_r50",)),
        ("buffalo_s", "d85a87f503f691807cd8bb97128bdf7a0660326cd9cd02657127fa978bab8b5e",
         None, ("scrfd_500m", "w600k_mbf")),
        ("buffalo_sc", "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72",
         14_969_382, ("scrfd_500m", "w600k_mbf")),
        ("antelopev2", "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5",
         360_662_982, ("scrfd_10g", "glintr100")),
    )
)  # fmt: skip
