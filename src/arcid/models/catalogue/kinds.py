"""What the catalogue holds: files, models and packs; and the licences they come under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from arcid.models.manifest import Licence, Manifest


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
    package: str = ""  # one of the index that ships the file, in its folder ``models``


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

DLIB_LICENCE = Licence(
    "CC0-1.0 (public domain)",
    "https://github.com/davisking/dlib-models",
    commercial_use=True,
)

#: How pixels are shifted and divided.
MEAN, STD128, STD = (127.5,) * 3, (128.0,) * 3, (127.5,) * 3
ZERO, ONE = (0.0,) * 3, (1.0,) * 3
