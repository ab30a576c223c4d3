"""Augmented views of an aligned crop: (C,C,3) uint8 RGB canvas in, (S,S,3) uint8 RGB out.

The order is that of the world: where the face is (pose, crop, misalignment, flip), what hides it
(mask, occlusion), light (colour, gamma, dark), optics (blur, motion), the sensor (resolution,
grain) and the file (grey, JPEG). Every draw comes from (seed, epoch, photo) and has a place of its
own, so turning one augmentation off leaves the others as they were.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.geometry import TEMPLATE_SIZE, template_points
from arcid.train.config.recipe import AUGMENTATIONS, AugmentConfig
from arcid.train.data.pose import turned
from arcid.types import Image

_DRAWS = 8  # numbers an augmentation may use besides its coin
_MASKS = ("surgical", "cone", "cloth", "bandana")
_MASK_COLOURS = (
    (225, 236, 243), (150, 190, 222), (28, 30, 34), (120, 124, 128), (168, 196, 176),
    (214, 168, 180), (44, 62, 110), (150, 40, 44), (236, 232, 220),
)  # fmt: skip


class Augment:
    """One view of a photo; the same (seed, epoch, index, repeat) gives the same view anywhere.

    For distillation there is nothing more to do: teacher and student are shown the returned view.
    With ``clean`` above 0 the teacher is shown ``plain`` instead, in that share of the photos.
    """

    def __init__(
        self, config: AugmentConfig, seed: int, size: int = TEMPLATE_SIZE, *, clean: float = 0.0
    ) -> None:
        self.config = config
        self.clean = clean
        self.seed = seed
        self.size = size
        self.scale = size / TEMPLATE_SIZE
        self._chance = np.array([getattr(config, name) for name in AUGMENTATIONS])

    def __call__(self, canvas: Image, *, epoch: int, index: int, repeat: int = 0) -> Image:
        """``canvas`` as ``fit_crop`` makes it; it is not changed."""
        on = self._chosen(_uniform(self.seed, epoch, index, repeat))
        c, scale = self.config, self.scale
        image, points = self._placed(canvas, on)
        if (u := on.get("mask")) is not None:
            image = draw_mask(image, points, u)
        if (u := on.get("occlusion")) is not None:
            image = _occluded(image, u, c.occlusion_share)
        if (u := on.get("colour")) is not None:
            image = _coloured(image, u, c)
        if (u := on.get("gamma")) is not None:
            image = _gamma(image, math.exp((2 * u[0] - 1) * c.gamma_range))
        if (u := on.get("dark")) is not None:
            image = _darkened(image, u, c.dark_gain)
        if (u := on.get("blur")) is not None:
            image = _blurred(image, (0.3 + u[0] * max(c.blur_sigma_px - 0.3, 0)) * scale)
        if (u := on.get("motion")) is not None:
            image = _moved(image, (2 + u[0] * max(c.motion_px - 2, 0)) * scale, math.pi * u[1])
        if (u := on.get("lowres")) is not None:
            width = math.exp(_between(math.log(c.lowres_px), math.log(84.0), u[0]))
            image = _shrunk(image, round(width * scale), int(u[1] * 3))
        if (u := on.get("dark")) is not None:
            image = _grained(image, u, c.dark_noise)
        if "grey" in on:
            image = _grey(image)
        if (u := on.get("jpeg")) is not None:
            image = _jpeg(image, round(_between(c.jpeg_quality, 90, u[0])))
        return image

    def plain(self, canvas: Image, view: Image, *, epoch: int, index: int, repeat: int) -> Image:
        """What the teacher sees beside ``view``: itself, or only where the face is."""
        draws = _uniform(self.seed, epoch, index, repeat)
        if draws[0, -1] >= self.clean:  # a number of the flip's that nothing else uses
            return view
        on = self._chosen(draws)
        on.pop("pose", None)
        return self._placed(canvas, on)[0]

    def _chosen(self, draws: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
        return {
            name: row[1:]
            for name, row, chance in zip(AUGMENTATIONS, draws, self._chance, strict=True)
            if row[0] < chance
        }

    def _placed(
        self, canvas: Image, on: dict[str, npt.NDArray[np.float64]]
    ) -> tuple[Image, npt.NDArray[Any]]:
        """The crop and where the face's five points lie in it."""
        import cv2

        c, size = self.config, self.size
        rim = (canvas.shape[0] - size) // 2
        points: npt.NDArray[Any] = template_points(size).astype(np.float64)
        if (u := on.get("pose")) is not None:
            yaw, pitch = (2 * u[:2] - 1) * (c.pose_yaw_deg, c.pose_pitch_deg)
            canvas, moved = turned(canvas, yaw, pitch, size)
            points = moved.astype(np.float64) - rim
        shift = np.zeros(2)
        if (u := on.get("jitter")) is not None:
            reach = min(c.jitter_px * self.scale, rim)
            shift = np.rint((2 * u[:2] - 1) * reach)
        if (u := on.get("warp")) is not None:
            angle = math.radians((2 * u[0] - 1) * c.warp_deg)
            factor = 1 + (2 * u[1] - 1) * c.warp_scale
            turn = factor * np.array(
                [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
            )
            middle = np.full(2, (size - 1) / 2)
            move = middle + shift - turn @ (middle + rim)
            matrix = np.column_stack([turn, move])
            image = np.asarray(
                cv2.warpAffine(
                    canvas,
                    matrix,
                    (size, size),
                    flags=cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE,
                ),
                np.uint8,
            )
            points = (points + rim) @ turn.T + move
        else:
            x, y = (rim - shift).astype(int)
            image = canvas[y : y + size, x : x + size]
            points = points + shift
        if "flip" in on:
            image = np.asarray(cv2.flip(image, 1), np.uint8)
            points[:, 0] = size - 1 - points[:, 0]
            points = points[[1, 0, 2, 4, 3]]
        elif image.base is not None and np.shares_memory(image, canvas):
            image = image.copy()
        return image, points


def _uniform(seed: int, epoch: int, index: int, repeat: int) -> npt.NDArray[np.float64]:
    """(A, 1 + _DRAWS) numbers in 0–1 from a counter-based generator: no state, no order."""
    words = 1 + _DRAWS
    bits = np.random.Philox(
        key=np.array([seed, index], np.uint64), counter=np.array([0, repeat, epoch, 1], np.uint64)
    ).random_raw(len(AUGMENTATIONS) * words)
    draws: npt.NDArray[np.float64] = np.ldexp((bits >> np.uint64(11)).astype(np.float64), -53)
    return draws.reshape(len(AUGMENTATIONS), words)


def _between(low: float, high: float, u: float) -> float:
    return low + (high - low) * u


def draw_mask(image: Image, points: npt.NDArray[Any], u: npt.NDArray[np.float64]) -> Image:
    """A face mask drawn from the five points, in coordinates of the face itself.

    The x axis runs along the eyes, the y axis from between them towards the mouth; one unit is the
    distance of the eyes.
    """
    import cv2

    left, right = points[0], points[1]
    across = right - left
    down = np.array([-across[1], across[0]])
    if down @ (points[3] + points[4] - left - right) < 0:
        down = -down
    origin = (left + right) / 2
    top = 0.2 + 0.28 * u[2]  # on the bridge of the nose
    cheek = top + 0.1 + 0.25 * u[3]
    shape = _MASKS[int(u[0] * len(_MASKS))]
    if shape == "surgical":
        half = [(0.0, top), (0.3, top + 0.06), (1.0, cheek), (0.92, 1.35), (0.45, 1.85), (0, 1.95)]
    elif shape == "cone":
        half = [(0.0, top - 0.05), (0.22, top + 0.1), (0.7, cheek + 0.25), (0.72, 1.2), (0.3, 1.75),
                (0.0, 1.85)]  # fmt: skip
    elif shape == "cloth":
        half = [
            (0.0, top + 0.12),
            (0.5, top + 0.12),
            (1.1, cheek),
            (1.0, 1.3),
            (0.5, 1.8),
            (0, 1.9),
        ]
    else:
        half = [(0.0, top), (0.6, top + 0.02), (1.25, cheek - 0.1), (1.25, 2.6), (0.0, 2.6)]
    outline = np.array(half + [(-x, y) for x, y in reversed(half)])
    polygon = origin + outline[:, :1] * across + outline[:, 1:] * down
    alpha = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(
        alpha, [np.rint(polygon * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4
    )
    colour = np.array(_MASK_COLOURS[int(u[1] * len(_MASK_COLOURS))], np.float32)
    colour = np.clip(colour + (u[4] - 0.5) * 40, 0, 255)
    # shading: the cloth keeps some of the light that falls on the face
    light = cv2.blur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 9))
    level = max(float(cv2.mean(light)[0]), 16.0)
    shade = 0.55 + 0.45 * np.minimum(np.arange(256) / level, 1.6)
    table = np.clip(shade[None, :, None] * colour, 0, 255).astype(np.uint8)
    cloth = np.asarray(cv2.LUT(cv2.merge([light, light, light]), table), np.uint8)
    if shape == "surgical" and u[5] < 0.6:
        for fold in (0.75, 1.05, 1.35):
            ends = [origin + x * across + fold * down for x in (-0.95, 0.95)]
            a, b = (tuple(int(v) for v in np.rint(end * 16)) for end in ends)
            dark = tuple(float(v) for v in colour * 0.8)
            cv2.line(cloth, a, b, dark, 1, cv2.LINE_AA, 4)
    return _blend(image, cloth, alpha)


def _occluded(image: Image, u: npt.NDArray[np.float64], share: float) -> Image:
    """One patch: flat, noisy or torn from elsewhere in the picture; a rectangle or an ellipse."""
    import cv2

    size = image.shape[0]
    area = size * size * share * (0.2 + 0.8 * u[0])
    ratio = math.exp((2 * u[1] - 1) * 0.9)
    width = min(size, max(4, round(math.sqrt(area * ratio))))
    height = min(size, max(4, round(area / width)))
    x, y = int(u[2] * (size - width + 1)), int(u[3] * (size - height + 1))
    patch: Image
    if u[4] < 0.4:
        shade = np.array([u[5], u[6], u[7]]) * 255
        patch = np.broadcast_to(shade.astype(np.uint8), (height, width, 3))
    elif u[4] < 0.6:
        patch = _grain()[:height, :width]
    else:
        fx, fy = int(u[5] * (size - width + 1)), int(u[6] * (size - height + 1))
        patch = image[fy : fy + height, fx : fx + width][::-1]
    if u[7] < 0.5:
        image = image.copy()
        image[y : y + height, x : x + width] = patch
        return image
    whole = image.copy()
    whole[y : y + height, x : x + width] = patch
    alpha = np.zeros((size, size), np.uint8)
    cv2.ellipse(
        alpha, (x + width // 2, y + height // 2), (width // 2, height // 2), 0, 0, 360, 255, -1,
        cv2.LINE_AA,
    )  # fmt: skip
    return _blend(image, whole, alpha)


def _coloured(image: Image, u: npt.NDArray[np.float64], c: AugmentConfig) -> Image:
    """Brightness, contrast, saturation and hue as one affine map of the colours."""
    import cv2

    gain, contrast, saturation = (
        1 + (2 * draw - 1) * reach
        for draw, reach in zip(
            u, (c.colour_brightness, c.colour_contrast, c.colour_saturation), strict=False
        )
    )
    matrix = gain * contrast * _hue_matrix((2 * u[3] - 1) * c.colour_hue_deg, saturation)
    offset = 128 * (1 - contrast)
    full = np.column_stack([matrix, np.full(3, offset)]).astype(np.float32)
    return np.asarray(cv2.transform(image, full), np.uint8)


def _hue_matrix(degrees: float, saturation: float) -> npt.NDArray[np.float64]:
    """Turn and scale the two chroma axes of YIQ; grey stays as it is."""
    angle = math.radians(degrees)
    turn = saturation * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    middle = np.eye(3)
    middle[1:, 1:] = turn
    result: npt.NDArray[np.float64] = _FROM_YIQ @ middle @ _TO_YIQ
    return result


_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)
_LEVELS = np.arange(256) / 255.0


def _gamma(image: Image, exponent: float) -> Image:
    import cv2

    return np.asarray(cv2.LUT(image, np.rint(_LEVELS**exponent * 255).astype(np.uint8)), np.uint8)


def _darkened(image: Image, u: npt.NDArray[np.float64], gain: float) -> Image:
    import cv2

    factor = math.exp(_between(math.log(gain), math.log(0.7), u[0]))
    return np.asarray(cv2.convertScaleAbs(image, alpha=factor), np.uint8)


def _grained(image: Image, u: npt.NDArray[np.float64], sigma: float) -> Image:
    """Gaussian grain, more of it the darker the draw of ``_darkened`` was."""
    import cv2

    grain, size = _grain(), image.shape[0]
    reach = grain.shape[0] - size
    x, y = int(u[1] * reach), int(u[2] * reach)
    strength = sigma * (1 - 0.7 * u[0]) * (0.3 + 0.7 * u[3]) / _GRAIN_SIGMA
    part = grain[y : y + size, x : x + size]
    return np.asarray(cv2.addWeighted(image, 1.0, part, strength, -128 * strength), np.uint8)


_GRAIN_SIGMA = 32.0


@functools.cache
def _grain() -> Image:
    """(768,768,3) fixed Gaussian noise about 128, of which every photo gets another part."""
    noise = np.random.default_rng(20_240_601).normal(128, _GRAIN_SIGMA, (768, 768, 3))
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)


def _blurred(image: Image, sigma: float) -> Image:
    import cv2

    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _moved(image: Image, length: float, angle: float) -> Image:
    """Blur along a straight line."""
    import cv2

    side = math.ceil(length) | 1
    drawn = np.zeros((side, side), np.uint8)  # lines are smooth on 8 bits only
    middle, reach = side // 2, (length - 1) / 2
    step = np.array([math.cos(angle), math.sin(angle)]) * reach
    a, b = (tuple(int(v) for v in np.rint((middle + s * step) * 16)) for s in (-1, 1))
    cv2.line(drawn, a, b, 255, 1, cv2.LINE_AA, 4)
    kernel = drawn / np.float32(drawn.sum())
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _shrunk(image: Image, width: int, way: int) -> Image:
    """Down to ``width`` pixels and back up."""
    import cv2

    size = image.shape[0]
    small = cv2.resize(image, (width, width), interpolation=cv2.INTER_AREA)
    how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)[way]
    return np.asarray(cv2.resize(small, (size, size), interpolation=how), np.uint8)


def _grey(image: Image) -> Image:
    import cv2

    grey: Any = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def _jpeg(image: Image, quality: int) -> Image:
    import cv2

    # the coder takes the channels for blue, green, red: swap on the way in, ask for RGB back
    swapped = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def _blend(below: Image, above: Image, alpha: npt.NDArray[np.uint8]) -> Image:
    import cv2

    weight = alpha * np.float32(1 / 255)
    return np.asarray(cv2.blendLinear(below, above, 1 - weight, weight), np.uint8)


__all__ = ["Augment"]
