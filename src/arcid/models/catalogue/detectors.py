"""Detectors of others: what each takes and where it is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcid.models.catalogue.kinds import (
    APACHE,
    INSIGHTFACE_LICENCE,
    MEAN,
    MIT,
    ONE,
    STD128,
    YUNET_LICENCE,
    ZERO,
    Entry,
    SourceFile,
)
from arcid.models.manifest import InputSpec, Licence, Manifest

_UNIFACE = "https://github.com/yakhyo/uniface/releases/download/weights"
_ZOO = "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models"
_DET_10G = "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"
_DET_500M = "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a"


def _detector(
    name: str,
    family: str,
    file: SourceFile,
    licence: Licence,
    spec: InputSpec,
    *,
    convert: bool = False,
    more_files: tuple[SourceFile, ...] = (),
    options: Mapping[str, Any] | None = None,
    description: str = "",
) -> Entry:
    manifest = Manifest(
        name=name,
        task="detection",
        family=family,
        sha256=file.sha256,
        file=file.filename,
        input=spec,
        licence=licence,
        options=dict(options or {}),
        description=description,
        source=file.url or "",
    )
    return Entry(name, manifest, (file, *more_files), convert=convert)


def _scrfd(name: str, file: SourceFile) -> Entry:
    spec = InputSpec(None, "RGB", MEAN, STD128, None)
    return _detector(name, "scrfd", file, INSIGHTFACE_LICENCE, spec, description=f"SCRFD, {name}")


def _yunet(
    name: str, file: SourceFile, size: tuple[int, int] | None, licence: Licence = APACHE
) -> Entry:
    spec = InputSpec("input", "BGR", ZERO, ONE, size)
    return _detector(name, "yunet", file, licence, spec, description="YuNet (libfacedetection)")


DETECTORS = (
    _scrfd(
        "scrfd_2.5g",
        SourceFile(
            "scrfd_2.5g_bnkps.onnx",
            "bc24bb349491481c3ca793cf89306723162c280cb284c5a5e49df3760bf5c2ce",
            3_290_207,
        ),
    ),
    _scrfd("scrfd_10g", SourceFile("det_10g.onnx", _DET_10G, url=f"{_UNIFACE}/scrfd_10g_kps.onnx")),
    _scrfd(
        "scrfd_500m", SourceFile("det_500m.onnx", _DET_500M, url=f"{_UNIFACE}/scrfd_500m_kps.onnx")
    ),
    _yunet(
        "yunet",
        SourceFile(
            "yunet_n_dynamic.onnx",
            "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
            322_906,
        ),
        None,
    ),
    _yunet(
        "yunet_320",
        SourceFile(
            "yunet_n_320_320.onnx",
            "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2",
            317_434,
        ),
        (320, 320),
    ),
    _yunet(
        "yunet_640",
        SourceFile(
            "yunet_n_640_640.onnx",
            "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31",
            317_466,
        ),
        (640, 640),
    ),
    _yunet(
        "yunet_2023mar",
        SourceFile(
            "face_detection_yunet_2023mar.onnx",
            "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            232_589,
            f"{_ZOO}/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        ),
        (640, 640),
        YUNET_LICENCE,
    ),
    _detector(
        "ultralight_rfb",
        "ultralight",
        SourceFile(
            "ultralight_rfb_320.onnx",
            "34cd7e60aeff28744c657de7a3dc64e872d506741de66987f3426f2b79f88017",
            1_270_727,
        ),
        MIT,
        InputSpec("input", "RGB", (127.0,) * 3, STD128, (240, 320)),
        description="Ultra-Light RFB-320: boxes only",
    ),
    _detector(
        "retinaface_mnet025",
        "retinaface",
        SourceFile(
            "retinaface_mobilenet0.25.pth",
            "ed6fa7d45a5179f03cb5ce82c73b0c6711372968e53782e88395acee88d319e1",
            1_789_735,
        ),
        MIT,
        InputSpec(None, "BGR", (104.0, 117.0, 123.0), ONE, None),
        convert=True,
        description="RetinaFace with MobileNet-0.25",
    ),
    _detector(
        "mtcnn",
        "mtcnn",
        SourceFile(
            "mtcnn_pnet.pt",
            "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
            28_570,
        ),
        MIT,
        InputSpec(None, "RGB", MEAN, STD128, None),
        convert=True,
        more_files=(
            SourceFile(
                "mtcnn_rnet.pt",
                "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
                403_147,
            ),
            SourceFile(
                "mtcnn_onet.pt",
                "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
                1_559_269,
            ),
        ),
        description="MTCNN: three small networks in cascade",
    ),
)
