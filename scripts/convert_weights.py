"""Turns published PyTorch state dicts into arcid bundles (``manifest.json`` + ONNX).

    pip install torch onnx
    python scripts/convert_weights.py --from MODELS --to BUNDLES [--only NAME ...]

Reads from ``--from`` and writes ``BUNDLES/NAME/`` for every source whose files are there:

    retinaface_mnet025   retinaface_mobilenet0.25.pth                   MIT
    mtcnn                mtcnn_pnet.pt, mtcnn_rnet.pt, mtcnn_onet.pt    MIT
    minifasnet_v2        2.7_80x80_MiniFASNetV2.pth                     Apache-2.0
    minifasnet_v1se      4_0_0_80x80_MiniFASNetV1SE.pth                 Apache-2.0

Each source must have the sha256 written below and is loaded with ``weights_only=True``. A bundle is
written only after ONNX Runtime has agreed with PyTorch on pictures of two shapes (``--check PHOTO``
takes a photograph of yours; without it a drawn gradient is used). H and W of the detectors stay
dynamic; so does the batch of every net that looks at crops.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import ArcidError, ModelHashMismatch, ModelNotFound, ModelUnsupported, UsageError
from arcid.files import publish
from arcid.image import load_image
from arcid.models.manifest import InputSpec, Licence, Manifest, Task

log = logging.getLogger("convert_weights")
OPSET = 17
TOLERANCE = 1e-4  # largest difference between PyTorch and ONNX Runtime, outputs of order 1


# --- RetinaFace, MobileNet-0.25, ReLU throughout (Deng et al., CVPR 2020) -------------------------


def _conv(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(cout)]


def _conv_act(cin: int, cout: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*_conv(cin, cout, kernel, stride), nn.ReLU())


def _separable(cin: int, cout: int, stride: int) -> nn.Sequential:
    depthwise = [*_conv(cin, cin, 3, stride, groups=cin), nn.ReLU()]
    return nn.Sequential(*depthwise, *_conv(cin, cout, 1), nn.ReLU())


class _Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        plan = [(8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)]
        self.stage1 = nn.Sequential(_conv_act(3, 8, 3, 2), *(_separable(*p) for p in plan))
        self.stage2 = nn.Sequential(
            _separable(64, 128, 2), *(_separable(128, 128, 1) for _ in range(5))
        )
        self.stage3 = nn.Sequential(_separable(128, 256, 2), _separable(256, 256, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        one = self.stage1(x)
        two = self.stage2(one)
        return one, two, self.stage3(two)


class _Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_conv_act(c, 64, 1) for c in (64, 128, 256))
        self.merge1, self.merge2 = _conv_act(64, 64, 3), _conv_act(64, 64, 3)

    def forward(self, one: Tensor, two: Tensor, three: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        three = self.output3(three)
        two = self.merge2(self.output2(two) + F.interpolate(three, scale_factor=2.0))
        one = self.merge1(self.output1(one) + F.interpolate(two, scale_factor=2.0))
        return one, two, three


class _Context(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv3X3 = nn.Sequential(*_conv(64, 32, 3))
        self.conv5X5_1 = _conv_act(64, 16, 3)
        self.conv5X5_2 = nn.Sequential(*_conv(16, 16, 3))
        self.conv7X7_2 = _conv_act(16, 16, 3)
        self.conv7x7_3 = nn.Sequential(*_conv(16, 16, 3))

    def forward(self, x: Tensor) -> Tensor:
        shared = self.conv5X5_1(x)
        wide = self.conv7x7_3(self.conv7X7_2(shared))
        return F.relu(torch.cat([self.conv3X3(x), self.conv5X5_2(shared), wide], dim=1))


class _Head(nn.Module):
    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(64, 2 * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        cells: Tensor = self.conv1x1(x).permute(0, 2, 3, 1)
        return cells.reshape(x.shape[0], -1, self.values)


class RetinaFace(nn.Module):
    """(N,3,H,W) BGR minus mean in, H and W multiples of 32; boxes (N,A,4), scores (N,A,2) and
    points (N,A,10) out, still relative to the anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _Body()
        self.fpn = _Pyramid()
        self.ssh1, self.ssh2, self.ssh3 = _Context(), _Context(), _Context()
        self.ClassHead = nn.ModuleList(_Head(2) for _ in range(3))
        self.BboxHead = nn.ModuleList(_Head(4) for _ in range(3))
        self.LandmarkHead = nn.ModuleList(_Head(10) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        one, two, three = self.fpn(*self.body(x))
        levels = [self.ssh1(one), self.ssh2(two), self.ssh3(three)]

        def joined(heads: nn.ModuleList) -> Tensor:
            return torch.cat([head(x) for head, x in zip(heads, levels, strict=True)], dim=1)

        scores = F.softmax(joined(self.ClassHead), dim=-1)
        return joined(self.BboxHead), scores, joined(self.LandmarkHead)


# --- MTCNN (Zhang et al., SPL 2016; the facenet-pytorch weights) ----------------------------------


def _pool(kernel: int, stride: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, stride, ceil_mode=True)


def _flat(x: Tensor) -> Tensor:
    return x.permute(0, 3, 2, 1).flatten(1)  # the dense weights count W, H, C


class PNet(nn.Module):
    """(N,3,H,W) in; box offsets (N,4,h,w) and scores (N,2,h,w) out, one cell per 2 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)
        self.pool1 = _pool(2, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_2(x), F.softmax(self.conv4_1(x), dim=1)


class RNet(nn.Module):
    """(N,3,24,24) in; box offsets (N,4) and scores (N,2) out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)
        self.pool1, self.pool2 = _pool(3, 2), _pool(3, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.pool2(self.prelu2(self.conv2(x)))))
        x = self.prelu4(self.dense4(_flat(x)))
        return self.dense5_2(x), F.softmax(self.dense5_1(x), dim=1)


class ONet(nn.Module):
    """(N,3,48,48) in; box offsets (N,4), scores (N,2) and points (N,10: five x, five y) out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2 = nn.Linear(256, 2), nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)
        self.pool1, self.pool2, self.pool3 = _pool(3, 2), _pool(3, 2), _pool(2, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu4(self.conv4(self.pool3(self.prelu3(self.conv3(x)))))
        x = self.prelu5(self.dense5(_flat(x)))
        return self.dense6_2(x), F.softmax(self.dense6_1(x), dim=1), self.dense6_3(x)


# --- MiniFASNet (Silent-Face-Anti-Spoofing): pruned MobileFaceNets for 80×80 crops ----------------


def _unit(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    conv, bn = _conv(cin, cout, kernel, stride, groups)
    return _named(conv=conv, bn=bn, prelu=nn.PReLU(cout))


def _plain(cin: int, cout: int, kernel: int, groups: int = 1) -> nn.Module:
    conv = nn.Conv2d(cin, cout, kernel, groups=groups, bias=False)
    return _named(conv=conv, bn=nn.BatchNorm2d(cout))


def _named(**parts: nn.Module) -> nn.Sequential:
    named = nn.Sequential()
    for name, part in parts.items():
        named.add_module(name, part)
    return named


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        few = channels // 4
        self.fc1, self.bn1 = nn.Conv2d(channels, few, 1, bias=False), nn.BatchNorm2d(few)
        self.fc2, self.bn2 = nn.Conv2d(few, channels, 1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.relu(self.bn1(self.fc1(x.mean(dim=(2, 3), keepdim=True))))
        return x * torch.sigmoid(self.bn2(self.fc2(gate)))


class _Bottleneck(nn.Module):
    """Widen, look around per channel, project; ``stride`` 1 adds the input again."""

    def __init__(self, cin: int, wide: int, cout: int, stride: int, squeeze: bool = False) -> None:
        super().__init__()
        self.conv = _unit(cin, wide, 1)
        self.conv_dw = _unit(wide, wide, 3, stride, groups=wide)
        self.project = _plain(wide, cout, 1)
        self.adds = stride == 1
        if squeeze:
            self.se_module = _SqueezeExcite(cout)
        self.squeeze = squeeze

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.conv_dw(self.conv(x)))
        if self.squeeze:
            out = self.se_module(out)
        return x + out if self.adds else out


class MiniFASNet(nn.Module):
    """(N,3,80,80) BGR 0–255 in; logits (N,3) out, class 1 is a live face.

    ``widths``: inner channels of the blocks at 20, 10 and 5 pixels, as pruning left them;
    ``squeeze``: the last block of each resolution weighs its channels.
    """

    def __init__(self, widths: Sequence[Sequence[int]], squeeze: bool) -> None:
        super().__init__()

        def stage(channels: int, inner: Sequence[int]) -> nn.Module:
            last = len(inner) - 1
            blocks = (
                _Bottleneck(channels, wide, channels, 1, squeeze and i == last)
                for i, wide in enumerate(inner)
            )
            return _named(model=nn.Sequential(*blocks))

        self.conv1 = _unit(3, 32, 3, 2)
        self.conv2_dw = _unit(32, 32, 3, groups=32)
        self.conv_23 = _Bottleneck(32, 103, 64, 2)
        self.conv_3 = stage(64, widths[0])
        self.conv_34 = _Bottleneck(64, 231, 128, 2)
        self.conv_4 = stage(128, widths[1])
        self.conv_45 = _Bottleneck(128, 308, 128, 2)
        self.conv_5 = stage(128, widths[2])
        self.conv_6_sep = _unit(128, 512, 1)
        self.conv_6_dw = _plain(512, 512, 5, groups=512)
        self.linear = nn.Linear(512, 128, bias=False)
        self.bn = nn.BatchNorm1d(128)
        self.prob = nn.Linear(128, 3, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        x = self.conv_23(self.conv2_dw(self.conv1(x)))
        x = self.conv_45(self.conv_4(self.conv_34(self.conv_3(x))))
        x = self.conv_6_dw(self.conv_6_sep(self.conv_5(x)))
        return (self.prob(self.bn(self.linear(x.flatten(1)))),)


def minifasnet_v2() -> MiniFASNet:
    return MiniFASNet([[13, 13, 13, 13], [231, 52, 26, 77, 26, 26], [26, 26]], squeeze=False)


def minifasnet_v1se() -> MiniFASNet:
    return MiniFASNet([[13, 26, 13, 52], [154, 52, 26, 52, 26, 26], [26, 26]], squeeze=True)


# --- what is converted ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One state dict and the ONNX file it becomes."""

    source: str
    sha256: str
    file: str
    net: Callable[[], nn.Module]
    outputs: tuple[str, ...]
    sizes: tuple[tuple[int, int], tuple[int, int]]  # (height, width) the check runs at
    dynamic: tuple[int, ...]  # axes of the input left open


@dataclass(frozen=True, slots=True)
class Recipe:
    """One bundle."""

    family: str
    parts: Mapping[str, Part]  # the first is ``Manifest.file``, the others go to ``options``
    input: InputSpec
    licence: Licence
    options: Mapping[str, Any]
    description: str
    training_data: str
    origin: str
    task: Task = "detection"
    template: Literal["arcface", "box"] = "arcface"


def _minifasnet_recipe(
    source: str, sha256: str, net: Callable[[], nn.Module], crop_scale: float
) -> Recipe:
    size = (80, 80)
    return Recipe(
        family="minifasnet",
        parts={"model": Part(source, sha256, "model.onnx", net, ("logits",), (size, size), (0,))},
        input=InputSpec(INPUT_NAME, "BGR", (0.0,) * 3, (1.0,) * 3, size),
        licence=Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0", True),
        options={"crop_scale": crop_scale, "live_class": 1},
        description=f"MiniFASNet of Silent-Face-Anti-Spoofing, crop {crop_scale}x the box",
        training_data="not published",
        origin="https://github.com/minivision-ai/Silent-Face-Anti-Spoofing",
        task="liveness",
        template="box",
    )


INPUT_NAME = "input"
RECIPES: dict[str, Recipe] = {
    "retinaface_mnet025": Recipe(
        family="retinaface",
        parts={
            "model": Part(
                "retinaface_mobilenet0.25.pth",
                "ed6fa7d45a5179f03cb5ce82c73b0c6711372968e53782e88395acee88d319e1",
                "model.onnx",
                RetinaFace,
                ("boxes", "scores", "points"),
                ((320, 416), (160, 96)),
                (0, 2, 3),
            )
        },
        input=InputSpec(INPUT_NAME, "BGR", (104.0, 117.0, 123.0), (1.0,) * 3, None),
        licence=Licence("MIT", "https://github.com/biubug6/Face-Detector-1MB-with-landmark", True),
        options={
            "anchors_px": [[10, 20], [32, 64], [128, 256]],
            "strides": [8, 16, 32],
            "variances": [0.1, 0.2],
        },
        description="RetinaFace with a MobileNet-0.25 body: boxes and five points.",
        training_data="WIDER FACE",
        origin="https://github.com/biubug6/Face-Detector-1MB-with-landmark",
    ),
    "mtcnn": Recipe(
        family="mtcnn",
        parts={
            "pnet": Part(
                "mtcnn_pnet.pt",
                "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
                "pnet.onnx",
                PNet,
                ("boxes", "scores"),
                ((237, 320), (48, 31)),
                (0, 2, 3),
            ),
            "rnet": Part(
                "mtcnn_rnet.pt",
                "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
                "rnet.onnx",
                RNet,
                ("boxes", "scores"),
                ((24, 24), (24, 24)),
                (0,),
            ),
            "onet": Part(
                "mtcnn_onet.pt",
                "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
                "onet.onnx",
                ONet,
                ("boxes", "scores", "points"),
                ((48, 48), (48, 48)),
                (0,),
            ),
        },
        input=InputSpec(INPUT_NAME, "RGB", (127.5,) * 3, (128.0,) * 3, None),
        licence=Licence("MIT", "https://github.com/timesler/facenet-pytorch", True),
        options={},
        description="MTCNN: three small networks in cascade, boxes and five points.",
        training_data="WIDER FACE and CelebA, as published",
        origin="https://github.com/timesler/facenet-pytorch",
    ),
    "minifasnet_v2": _minifasnet_recipe(
        "2.7_80x80_MiniFASNetV2.pth",
        "a5eb02e1843f19b5386b953cc4c9f011c3f985d0ee2bb9819eea9a142099bec0",
        minifasnet_v2,
        2.7,
    ),
    "minifasnet_v1se": _minifasnet_recipe(
        "4_0_0_80x80_MiniFASNetV1SE.pth",
        "84ee1d37d96894d5e82de5a57df044ef80a58be2b218b5ed7cdfd875ec2f5990",
        minifasnet_v1se,
        4.0,
    ),
}


def convert(name: str, source: Path, target: Path, photo: Path | None = None) -> Path:
    """Write the bundle ``target/name`` and return its folder; an older one is replaced whole.

    Raises ``UsageError`` (unknown name), ``ModelNotFound``, ``ModelHashMismatch``,
    ``ModelUnsupported`` (ONNX and PyTorch disagree).
    """
    if name not in RECIPES:
        raise UsageError(f"{name!r} cannot be converted; known: {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        files: dict[str, dict[str, str]] = {}
        difference: dict[str, float] = {}
        for part_name, part in recipe.parts.items():
            net = _load(source / part.source, part)
            path = folder / part.file
            _export(net, part, path)
            difference[part_name] = _compare(net, part, recipe.input, path, photo)
            files[part_name] = {"file": part.file, "sha256": _sha256(path)}
        main, *others = files
        Manifest(
            name=name,
            task=recipe.task,
            family=recipe.family,
            template=recipe.template,
            sha256=files[main]["sha256"],
            file=files[main]["file"],
            input=recipe.input,
            licence=recipe.licence,
            description=recipe.description,
            training_data=recipe.training_data,
            source=recipe.origin,
            options={**recipe.options, **{other: files[other] for other in others}},
            provenance={
                "converted_by": "scripts/convert_weights.py",
                "torch": torch.__version__.split("+")[0],
                "sources": {p.source: p.sha256 for p in recipe.parts.values()},
                "max_abs_difference_to_torch": difference,
            },
        ).save(folder / "manifest.json")
        final = target / name
        publish(folder, final)
    log.info("bundle written", extra={"bundle": name, "difference": max(difference.values())})
    return final


def _load(path: Path, part: Part) -> nn.Module:
    if not path.is_file():
        raise ModelNotFound(f"{path.name} is not in {path.parent}; fetch it from its repository")
    found = _sha256(path)
    if found != part.sha256:
        raise ModelHashMismatch(f"{path.name} has sha256 {found}, expected {part.sha256}")
    net = part.net()
    state = torch.load(path, map_location="cpu", weights_only=True)
    # Data-parallel training leaves its wrapper's name before every key.
    net.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    return net.eval()


def _export(net: nn.Module, part: Part, path: Path) -> None:
    labels = {axis: ("batch", "", "height", "width")[axis] for axis in part.dynamic}
    height, width = part.sizes[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further package is deprecated
        torch.onnx.export(
            net,
            (torch.zeros(1, 3, height, width),),
            str(path),
            input_names=[INPUT_NAME],
            output_names=list(part.outputs),
            dynamic_axes={INPUT_NAME: labels, **{o: {0: "batch"} for o in part.outputs}},
            opset_version=OPSET,
            dynamo=False,
        )


def _compare(net: nn.Module, part: Part, spec: InputSpec, path: Path, photo: Path | None) -> float:
    """Largest absolute difference over all outputs, at two sizes and a batch of two."""
    import cv2
    import onnxruntime as ort

    image = _gradient() if photo is None else load_image(photo)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for height, width in part.sizes:
        small = np.asarray(cv2.resize(image, (width, height)), np.uint8)
        tensor = spec.prepare(np.stack([small, small[:, ::-1]]))
        with torch.inference_mode():
            expected = net(torch.from_numpy(tensor))
        for want, have in zip(expected, session.run(None, {INPUT_NAME: tensor}), strict=True):
            if want.shape != have.shape:
                raise ModelUnsupported(f"{path.name} answers {have.shape}, PyTorch {want.shape}")
            worst = max(worst, float(np.abs(want.numpy() - have).max()))
    if worst > TOLERANCE:
        raise ModelUnsupported(f"{path.name} differs from PyTorch by {worst:.2g} (> {TOLERANCE})")
    return worst


def _gradient() -> np.ndarray[Any, np.dtype[np.uint8]]:
    y, x = np.mgrid[0:480, 0:640]
    return np.stack([x * 255 // 639, y * 255 // 479, (x + y) % 256], axis=-1).astype(np.uint8)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="PyTorch state dicts to arcid bundles")
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR")
    parser.add_argument("--to", dest="target", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=sorted(RECIPES), metavar="NAME")
    parser.add_argument("--check", type=Path, metavar="PHOTO", help="compare on this photograph")
    args = parser.parse_args(argv)
    try:
        for name in args.only or RECIPES:
            print(convert(name, args.source, args.target, args.check))
    except ArcidError as error:
        print(f"error: {error.message}")
        return 4
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
