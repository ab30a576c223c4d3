"""Models that tell a face from a picture of one."""

from __future__ import annotations

from arcid.models.catalogue.kinds import APACHE, ONE, ZERO, Entry, SourceFile
from arcid.models.manifest import InputSpec, Manifest

_MINIFASNET = "https://github.com/yakhyo/face-anti-spoofing/releases/download/weights"


def _minifasnet(name: str, file: SourceFile, crop_scale: float) -> Entry:
    manifest = Manifest(
        name=name,
        task="liveness",
        family="minifasnet",
        sha256=file.sha256,
        file=file.filename,
        input=InputSpec(None, "BGR", ZERO, ONE, (80, 80)),
        template="box",
        licence=APACHE,
        options={"crop_scale": crop_scale, "live_class": 1},
        description=f"MiniFASNet of Silent-Face-Anti-Spoofing, crop {crop_scale}x the box",
        source=file.url or "",
    )
    return Entry(name, manifest, (file,))


LIVENESS = (
    _minifasnet(
        "minifasnet_v2",
        SourceFile(
            "MiniFASNetV2.onnx",
            "b32929adc2d9c34b9486f8c4c7bc97c1b69bc0ea9befefc380e4faae4e463907",
            url=f"{_MINIFASNET}/MiniFASNetV2.onnx",
        ),
        2.7,
    ),
    _minifasnet(
        "minifasnet_v1se",
        SourceFile(
            "MiniFASNetV1SE.onnx",
            "ebab7f90c7833fbccd46d3a555410e78d969db5438e169b6524be444862b3676",
            url=f"{_MINIFASNET}/MiniFASNetV1SE.onnx",
        ),
        4.0,
    ),
)
