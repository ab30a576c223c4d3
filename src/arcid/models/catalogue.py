"""Models arcid knows by name: where they come from, their sha256, their terms, what they eat.

A third-party file brings no manifest, so its manifest is written here, from its publisher's own
documentation; nothing is ever guessed from shapes. Files are recognised by sha256. Nothing here
downloads by itself: ``arcid models pull NAME`` does, after the licence was shown and accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arcid.errors import ModelNotFound
from arcid.models.manifest import InputSpec, Licence, Manifest, OutputSpec


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a model: its name in a models folder and the sha256 it must have."""

    filename: str
    sha256: str
    size_bytes: int | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One model with one contract."""

    name: str
    manifest: Manifest
    files: tuple[SourceFile, ...]  # the first is the model file of the manifest; all are pulled
    convert: bool = False  # a state dict: scripts/convert_weights.py makes the bundle
    calibration: str | None = None  # file in models/calibrations


@dataclass(frozen=True, slots=True)
class Pack:
    """An archive of several models, pulled together."""

    name: str
    archive: SourceFile
    licence: Licence
    models: tuple[str, ...]
    members: Mapping[str, str] = field(default_factory=dict)  # model: its file name in the archive


INSIGHTFACE_LICENCE = Licence(
    "InsightFace models: non-commercial research only",
    "https://github.com/deepinsight/insightface/tree/master/model_zoo",
    commercial_use=False,
)
APACHE = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0", commercial_use=True)
MIT = Licence("MIT", "https://opensource.org/license/mit", commercial_use=True)
ADAFACE_LICENCE = Licence(
    "MIT (code); weights trained on research sets", "https://github.com/mk-minchul/AdaFace", None
)
#: The authors' repository has a BSD-3 LICENSE beside code and checkpoints; the same authors' pages
#: of the same weights on Hugging Face say CC BY-NC-SA 4.0. The narrower one is assumed.
EDGEFACE_LICENCE = Licence(
    "CC BY-NC-SA 4.0 (weights), BSD-3-Clause (repository)",
    "https://huggingface.co/Idiap/EdgeFace-XXS",
    commercial_use=False,
)
AURAFACE_LICENCE = Licence(
    "Apache-2.0",
    "https://huggingface.co/fal/AuraFace-v1/blob/main/LICENSE.md",
    commercial_use=True,
)
YUNET_LICENCE = Licence(
    "MIT",
    "https://github.com/opencv/opencv_zoo/blob/main/models/face_detection_yunet/LICENSE",
    commercial_use=True,
)
OMZ_LICENCE = Licence(
    "Apache-2.0",
    "https://github.com/openvinotoolkit/open_model_zoo/blob/master/LICENSE",
    commercial_use=True,
)
ESP_LICENCE = Licence(
    "MIT (repository); what it was trained on is not stated",
    "https://github.com/espressif/esp-dl",
    None,
)

_MEAN, _STD128, _STD = (127.5,) * 3, (128.0,) * 3, (127.5,) * 3
_ZERO, _ONE = (0.0,) * 3, (1.0,) * 3
_RELEASE = "https://github.com/deepinsight/insightface/releases/download/v0.7"
_UNIFACE = "https://github.com/yakhyo/uniface/releases/download/weights"
_MINIFASNET = "https://github.com/yakhyo/face-anti-spoofing/releases/download/weights"
_ZOO = "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models"
_EDGEFACE = "https://github.com/yakhyo/edgeface-onnx/releases/download/weights"
_OMZ = "https://storage.openvinotoolkit.org/repositories/open_model_zoo/2023.0/models_bin/1"
_AURAFACE = (
    "https://huggingface.co/fal/AuraFace-v1/resolve/af6d057c9b0ec4071d4c49c80e3539258798b609"
)


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


def _recogniser(
    name: str,
    family: str,
    file: SourceFile,
    licence: Licence,
    dim: int,
    *,
    colour: Any = "RGB",
    mean: Any = _MEAN,
    std: Any = _STD,
    size: int = 112,
    template: Any = "arcface",
    names: tuple[str | None, str | None] = (None, None),
    batch: int | None = None,
    precision: str = "fp32",
    weights: SourceFile | None = None,
    training_data: str = "",
    description: str = "",
    calibration: str | None = None,
) -> Entry:
    """``weights``: the .bin of an OpenVINO .xml."""
    manifest = Manifest(
        name=name,
        task="recognition",
        family=family,
        sha256=file.sha256,
        file=file.filename,
        weights_sha256=weights.sha256 if weights else None,
        precision=precision,
        input=InputSpec(names[0], colour, mean, std, (size, size), batch=batch),
        output=OutputSpec(names[1], dim),
        template=template,
        licence=licence,
        training_data=training_data,
        description=description,
        source=file.url or "",
    )
    return Entry(name, manifest, (file, weights) if weights else (file,), calibration=calibration)


def _edgeface(name: str, published: str, sha256: str, description: str) -> Entry:
    """A float EdgeFace, exported to ONNX by others: names of input and output are theirs."""
    file = SourceFile(f"{name}.onnx", sha256, url=f"{_EDGEFACE}/{published}.onnx")
    return _recogniser(
        name,
        "edgeface",
        file,
        EDGEFACE_LICENCE,
        512,
        training_data=_EDGEFACE_DATA,
        description=description,
    )


def _minifasnet(name: str, file: SourceFile, crop_scale: float) -> Entry:
    manifest = Manifest(
        name=name,
        task="liveness",
        family="minifasnet",
        sha256=file.sha256,
        file=file.filename,
        input=InputSpec(None, "BGR", _ZERO, _ONE, (80, 80)),
        template="box",
        licence=APACHE,
        options={"crop_scale": crop_scale, "live_class": 1},
        description=f"MiniFASNet of Silent-Face-Anti-Spoofing, crop {crop_scale}x the box",
        source=file.url or "",
    )
    return Entry(name, manifest, (file,))


def _scrfd(name: str, file: SourceFile) -> Entry:
    spec = InputSpec(None, "RGB", _MEAN, _STD128, None)
    return _detector(name, "scrfd", file, INSIGHTFACE_LICENCE, spec, description=f"SCRFD, {name}")


def _yunet(
    name: str, file: SourceFile, size: tuple[int, int] | None, licence: Licence = APACHE
) -> Entry:
    spec = InputSpec("input", "BGR", _ZERO, _ONE, size)
    return _detector(name, "yunet", file, licence, spec, description="YuNet (libfacedetection)")


_EDGEFACE_DATA = "WebFace260M (its subsets of 12M and 4M photos)"
_DET_10G = "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"
_DET_500M = "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a"
_W600K_R50 = "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43"
_W600K_MBF = "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f"
_GLINTR100 = "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf"

_ENTRIES = (
    # detectors
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
        InputSpec("input", "RGB", (127.0,) * 3, _STD128, (240, 320)),
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
        InputSpec(None, "BGR", (104.0, 117.0, 123.0), _ONE, None),
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
        InputSpec(None, "RGB", _MEAN, _STD128, None),
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
    # recognisers
    _recogniser(
        "mobilefacenet_128",
        "mobilefacenet",
        SourceFile(
            "mobilefacenet_128.onnx",
            "0c9ad2a83969fc82155706f7020e6926b4a1a90a5476fff4a5588dfe207f64a4",
            3_998_463,
        ),
        APACHE,
        128,
        std=_STD128,
        names=("input", "embeddings"),
        training_data="refined MS-Celeb-1M",
        description="MobileFaceNet, 128-d",
        calibration="mobilefacenet_128.json",
    ),
    _recogniser(
        "w600k_r50",
        "arcface",
        SourceFile("w600k_r50.onnx", _W600K_R50, url=f"{_UNIFACE}/w600k_r50.onnx"),
        INSIGHTFACE_LICENCE,
        512,
        training_data="WebFace600K",
        description="ArcFace IResNet-50 (buffalo_l, buffalo_m)",
    ),
    _recogniser(
        "w600k_mbf",
        "arcface",
        SourceFile("w600k_mbf.onnx", _W600K_MBF, url=f"{_UNIFACE}/w600k_mbf.onnx"),
        INSIGHTFACE_LICENCE,
        512,
        training_data="WebFace600K",
        description="ArcFace MobileFaceNet (buffalo_s, buffalo_sc)",
    ),
    _recogniser(
        "glintr100",
        "arcface",
        SourceFile("glintr100.onnx", _GLINTR100),
        INSIGHTFACE_LICENCE,
        512,
        training_data="Glint360K",
        description="ArcFace IResNet-100 (antelopev2)",
    ),
    _recogniser(
        "adaface_ir18",
        "adaface",
        SourceFile(
            "adaface_ir_18.onnx",
            "6b6a35772fb636cdd4fa86520c1a259d0c41472a76f70f802b351837a00d9870",
            url="https://github.com/yakhyo/adaface-onnx/releases/download/weights/adaface_ir_18.onnx",
        ),
        ADAFACE_LICENCE,
        512,
        colour="BGR",
        training_data="WebFace4M",
        description="AdaFace IR-18",
    ),
    _recogniser(
        "adaface_ir101",
        "adaface",
        SourceFile(
            "adaface_ir_101.onnx",
            "f2eb07d03de0af560a82e1214df799fec5e09375d43521e2868f9dc387e5a43e",
            url="https://github.com/yakhyo/adaface-onnx/releases/download/weights/adaface_ir_101.onnx",
        ),
        ADAFACE_LICENCE,
        512,
        colour="BGR",
        training_data="WebFace12M",
        description="AdaFace IR-101",
    ),
    _recogniser(
        "sface",
        "sface",
        SourceFile(
            "face_recognition_sface_2021dec.onnx",
            "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
            38_696_353,
            f"{_ZOO}/face_recognition_sface/face_recognition_sface_2021dec.onnx",
        ),
        APACHE,
        128,
        mean=_ZERO,
        std=_ONE,
        description="SFace; takes 0-255 and normalises inside the network",
    ),
    _recogniser(
        "edgeface_xs",
        "edgeface",
        SourceFile(
            "edgeface_xs.onnx",
            "a57016032251fb26ccaa58b64acb79039c9804ad679a032a988a8b17fe1c4de9",
            9_151_395,
        ),
        EDGEFACE_LICENCE,
        512,
        training_data=_EDGEFACE_DATA,
        description="EdgeFace-XS, quantised: linear weights of int8 written out as float",
    ),
    _recogniser(
        "edgeface_xxs",
        "edgeface",
        SourceFile(
            "edgeface_xxs.onnx",
            "e739c3f3a5c62b7ffc06ee4bd0525605b013fad437d48eafd538b31caa114802",
            5_133_111,
        ),
        EDGEFACE_LICENCE,
        512,
        training_data=_EDGEFACE_DATA,
        description="EdgeFace-XXS, quantised: linear weights of int8 written out as float",
    ),
    _recogniser(
        "face_reid_retail_0095",
        "mobilefacenet",
        SourceFile(
            "face_reid_retail_0095.onnx",
            "34a261236dbfd61618c4ed6152d6bf31f509423d45c81c7b1386081ccb129c37",
            4_451_470,
        ),
        OMZ_LICENCE,
        256,
        training_data="not stated",
        description="face-reidentification-retail-0095 (Open Model Zoo), its weights in an ONNX "
        "file that cuts its input out of the usual 112-pixel crop",
        calibration="omz_0095_onnx.json",
    ),
    _recogniser(
        "esp_mbf",
        "arcface",
        SourceFile(
            "esp_mbf.onnx",
            "875c419eacb27a6be225ddf4472776764be031ba93cdc534fa55afe147eeac24",
            13_613_810,
        ),
        INSIGHTFACE_LICENCE,
        512,
        training_data="not stated; looks like InsightFace's w600k_mbf",
        description="MobileFaceNet of esp-dl, int8 weights written out as float",
    ),
    _recogniser(
        "esp_mfn",
        "arcface",
        SourceFile(
            "esp_mfn.onnx",
            "edfa2af5fa7271336ee6c6539c28f3b2c5ca302a521f97ba6d53dc5e68f81ef8",
            4_776_635,
        ),
        ESP_LICENCE,
        512,
        training_data="not stated",
        description="small MobileFaceNet of esp-dl, int8 weights written out as float",
    ),
    _recogniser(
        "face-reidentification-retail-0095",
        "omz",
        SourceFile(
            "face-reidentification-retail-0095.xml",
            "ce53d2c9c08c0bd1c1660fb8a5b6d0e3e4ec19eb92f1036d2d83a85e83082dce",
            350_427,
            f"{_OMZ}/face-reidentification-retail-0095/FP16/face-reidentification-retail-0095.xml",
        ),
        OMZ_LICENCE,
        256,
        weights=SourceFile(
            "face-reidentification-retail-0095.bin",
            "241229ca3d206321868d46ce74a3c0b06c49cea58db7dc70b2e842ff287545d1",
            2_213_628,
            f"{_OMZ}/face-reidentification-retail-0095/FP16/face-reidentification-retail-0095.bin",
        ),
        colour="BGR",
        mean=_ZERO,
        std=_ONE,
        size=128,
        template="omz",
        names=("0", "658"),
        batch=1,
        precision="fp16",
        calibration="omz_0095.json",
        training_data="not stated",
        description="Open Model Zoo's recogniser (Intel), MobileNetV2-like, weights of 16 bits; "
        "needs OpenVINO",
    ),
    _edgeface(
        "edgeface_xxs_float",
        "edgeface_xxs",
        "dc674de4cbc77fa0bf9a82d5149558ab8581d82a2cd3bb60f28fd1a5d3ff8a2f",
        "EdgeFace-XXS, 1.2 M weights, 95 M MACs",
    ),
    _edgeface(
        "edgeface_xs_float",
        "edgeface_xs_gamma_06",
        "9206e2eb13a2761d7b5b76e13016d4b9acd3fa3535a9a09939f3adacd139a5ff",
        "EdgeFace-XS (gamma 0.6), 1.8 M weights, 154 M MACs",
    ),
    _edgeface(
        "edgeface_s",
        "edgeface_s_gamma_05",
        "b850767cf791bda585600b5c4c7d7432b2f998ccd862caae34ef1afa967d2e54",
        "EdgeFace-S (gamma 0.5), 3.7 M weights, 306 M MACs",
    ),
    _edgeface(
        "edgeface_base",
        "edgeface_base",
        "b56942f072c67385f44734b9458b0ccc4a2226888a113f77e0c802ad0c77b4c3",
        "EdgeFace-Base, 18 M weights, 1.4 G MACs",
    ),
    _recogniser(
        "auraface",
        "arcface",
        SourceFile(
            "auraface_glintr100.onnx",
            "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60",
            260_694_151,
            f"{_AURAFACE}/glintr100.onnx",
        ),
        AURAFACE_LICENCE,
        512,
        training_data='"commercially and publicly available data", not named',
        description="AuraFace v1 (fal): ArcFace IResNet-100, for servers",
    ),
    # liveness
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

_PACKS = tuple(
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


#: Input contracts of public recognisers, by the name people know them under.
CONTRACTS: dict[str, InputContract] = {
    "arcface": InputContract("ArcFace/InsightFace: RGB, (x-127.5)/127.5", "RGB", _MEAN, _STD),
    "mobilefacenet": InputContract("MobileFaceNet: RGB, (x-127.5)/128", "RGB", _MEAN, _STD128),
    "adaface": InputContract("AdaFace: BGR, (x-127.5)/127.5", "BGR", _MEAN, _STD),
    "sface": InputContract("OpenCV SFace: RGB 0-255, undivided", "RGB", _ZERO, _ONE),
    "facenet": InputContract(
        "FaceNet-style: RGB, (x-127.5)/128, 160x160 square around the box",
        "RGB", _MEAN, _STD128, 160, "box",
    ),
    "omz": InputContract(
        "Open Model Zoo face-reidentification-retail-0095: BGR 0-255, undivided, 128x128 by its "
        "own five points",
        "BGR", _ZERO, _ONE, 128, "omz",
    ),
    "luxonis": InputContract(
        "Luxonis zoo ArcFace: BGR 0-255, undivided, input 'images', output 'output'",
        "BGR", _ZERO, _ONE, names=("images", "output"),
    ),
}  # fmt: skip

ENTRIES: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
PACKS: dict[str, Pack] = {pack.name: pack for pack in _PACKS}


def entry(name: str) -> Entry:
    """The entry of that name; raises ``ModelNotFound`` and lists the known ones."""
    if name not in ENTRIES:
        raise ModelNotFound(
            f"no model is called {name!r}; the catalogue has {', '.join(sorted(ENTRIES))}"
        )
    return ENTRIES[name]
