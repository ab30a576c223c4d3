"""What a document does to a portrait, simulated: printed and scanned, small, engraved in grey.

Sizes are in eye distances, so that a picture of any size is harmed alike. The numbers are ours, set
to look like cards and passports photographed with a phone; they are no substitute for measuring on
documents of your own (``arcid onboarding calibrate`` takes folders of both).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from arcid.errors import UsageError
from arcid.types import FloatArray as Tones  # (H,W,3) 0–255
from arcid.types import Image

Kind = Literal["print_scan", "low_resolution", "grey"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def degraded(image: Image, kind: Kind, eye_px: float, rng: np.random.Generator) -> Image:
    """(H,W,3) uint8 RGB whose eyes are ``eye_px`` pixels apart in; the same size out.

    ``print_scan``: dot gain, narrower tones, a colour cast, guilloche lines, grain and JPEG.
    ``low_resolution``: shrunk to 16–24 pixels between the eyes and enlarged again. ``grey``:
    engraved by laser: grey, hard tones, grain in lines.
    """
    if kind not in KINDS:
        raise UsageError(f"degradation {kind!r} is unknown; known: {', '.join(KINDS)}")
    tones: Tones = image.astype(np.float32)
    if kind == "print_scan":
        tones = _printed(_blurred(tones, eye_px * rng.uniform(0.015, 0.03)), eye_px, rng)
    elif kind == "low_resolution":
        tones = _shrunk(tones, rng.uniform(16, 24) / eye_px)
    else:
        tones = _engraved(_blurred(tones, eye_px * rng.uniform(0.01, 0.025)), eye_px, rng)
    grain = rng.normal(0, rng.uniform(1.5, 4), tones.shape[:2]).astype(np.float32)
    tones = np.asarray(tones + grain[..., None], np.float32)
    return _jpeg(np.clip(tones, 0, 255).astype(np.uint8), int(rng.integers(45, 80)))


def _printed(tones: Tones, eye_px: float, rng: np.random.Generator) -> Tones:
    black, white = rng.uniform(15, 45), rng.uniform(205, 240)
    printed = black + (tones / 255) ** rng.uniform(0.8, 1.25) * (white - black)
    tinted = printed * rng.uniform(0.92, 1.06, 3)
    waves = _waves(tones.shape, eye_px * rng.uniform(0.12, 0.3), rng)[..., None]
    return np.asarray(tinted + waves, np.float32)


def _engraved(tones: Tones, eye_px: float, rng: np.random.Generator) -> Tones:
    grey = tones @ np.array([0.299, 0.587, 0.114], np.float32)
    low, high = np.percentile(grey, [2, 98])
    grey = (grey - low) / max(high - low, 1.0)
    grey = np.clip(grey, 0, 1) ** rng.uniform(0.9, 1.4) * rng.uniform(150, 190) + 35
    lines = rng.normal(0, 4, (1, grey.shape[1]))
    grey = grey + lines + _waves(tones.shape, eye_px * 0.15, rng) * 0.6
    return np.repeat(grey.astype(np.float32)[..., None], 3, axis=2)


def _waves(shape: tuple[int, ...], length_px: float, rng: np.random.Generator) -> Tones:
    """Fine lines that bend, as security print has."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle, bend = rng.uniform(0, np.pi), rng.uniform(1, 3)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    phase = along / length_px + bend * np.sin(across / (6 * length_px))
    return np.asarray(rng.uniform(3, 9) * np.sin(2 * np.pi * phase), np.float32)


def _blurred(tones: Tones, sigma_px: float) -> Tones:
    import cv2

    return np.asarray(cv2.GaussianBlur(tones, (0, 0), max(sigma_px, 0.3)), np.float32)


def _shrunk(tones: Tones, scale: float) -> Tones:
    import cv2

    if scale >= 1:
        return tones
    height, width = tones.shape[:2]
    small = cv2.resize(
        tones,
        (max(8, round(width * scale)), max(8, round(height * scale))),
        interpolation=cv2.INTER_AREA,
    )
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)


def _jpeg(image: Image, quality: int) -> Image:
    import cv2

    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)
