"""Large group photos: the whole picture at its usual size, then overlapping tiles at one or more
scales, and a single NMS over everything found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from arcid.detect._common import Detector, check_images, check_share, check_side, merge, name_of
from arcid.detect.second_try import TriesTwice, once
from arcid.errors import UsageError
from arcid.types import Detections, FloatArray, Image

_SCALES = (2.0, 1.5, 1.0, 0.75, 0.5, 0.25)
_EDGE_SHARE = 0.02  # of the tile: a box this near to an inner edge is taken as cut


class TiledDetector(TriesTwice):
    """Wraps any detector; (H,W,3) uint8 RGB in, merged ``Detections`` out.

    ``tile``: side of a tile in pixels, best the wrapped detector's own ``size``. ``overlap``: share
    of a tile that its neighbour sees too; a face smaller than that is whole in one of them, and a
    larger one is left to the pass over the whole picture. ``scales``: sizes at which the picture is
    cut up, 1.0 its own; a scale at which it fits into one tile adds nothing and is skipped. None
    takes the largest of 2, 1.5, 1, 0.75, 0.5 and 0.25 that needs at most ``max_tiles`` tiles.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        tile: int = 640,
        overlap: float = 0.25,
        scales: Sequence[float] | None = None,
        nms_iou: float = 0.4,
        max_tiles: int = 128,
    ) -> None:
        if not 0 <= overlap <= 0.75:
            raise UsageError(f"overlap must lie between 0 and 0.75, got {overlap}")
        if scales is not None and (not scales or min(scales) <= 0 or max(scales) > 8):
            raise UsageError(f"scales must lie above 0 and at most at 8, got {tuple(scales)}")
        if max_tiles < 1:
            raise UsageError(f"max_tiles must be at least 1, got {max_tiles}")
        self.tile, self.overlap = check_side("tile", tile), overlap
        self.scales = None if scales is None else tuple(scales)
        self.max_tiles = max_tiles
        self.nms_iou = check_share("nms_iou", nms_iou)
        self._detector = detector
        self.sure = getattr(detector, "sure", 0.0)

    @property
    def name(self) -> str:
        return f"{name_of(self._detector)}+tiled"

    @property
    def has_points(self) -> bool:
        return bool(getattr(self._detector, "has_points", True))

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        """``detect`` without the second try.

        Raises ``InvalidArray``; ``UsageError`` where a picture would need over ``max_tiles`` tiles.
        """
        checked = check_images(images)
        whole = once(self._detector)(checked)
        return [
            merge([first, *self._in_tiles(image)], self.nms_iou)
            for image, first in zip(checked, whole, strict=True)
        ]

    def _in_tiles(self, image: Image) -> Iterator[Detections]:
        import cv2

        height, width = image.shape[:2]
        for scale in self.scales or self._finest(height, width):
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            rows, columns = self._starts(height, width, scale)
            count = len(rows) * len(columns)
            if count == 1:
                continue
            if count > self.max_tiles:
                raise UsageError(
                    f"{width}×{height} pixels at scale {scale:g} make {count} tiles of "
                    f"{self.tile}; raise tile or max_tiles, lower scales or leave them out"
                )
            method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            level = image
            if scale != 1:
                resized = cv2.resize(image, (size[1], size[0]), interpolation=method)
                level = np.asarray(resized, np.uint8)
            corners = [(top, left) for top in rows for left in columns]
            tiles = [level[t : t + self.tile, x : x + self.tile] for t, x in corners]
            factor = np.array([width / size[1], height / size[0]], np.float32)
            for corner, found in zip(corners, once(self._detector)(tiles), strict=True):
                faces = found[np.flatnonzero(~cut(found.boxes, corner, self.tile, size))]
                offset = np.array([corner[1], corner[0]], np.float32)
                points = None if faces.points is None else (faces.points + offset) * factor
                boxes = (faces.boxes + np.tile(offset, 2)) * np.tile(factor, 2)
                yield Detections(boxes, faces.scores, points, (height, width))

    def _starts(self, height: int, width: int, scale: float) -> tuple[list[int], list[int]]:
        sides = (round(height * scale), round(width * scale))
        return starts(sides[0], self.tile, self.overlap), starts(sides[1], self.tile, self.overlap)

    def _finest(self, height: int, width: int) -> tuple[float, ...]:
        for scale in _SCALES:
            rows, columns = self._starts(height, width, scale)
            if len(rows) * len(columns) <= self.max_tiles:
                return (scale,)
        return ()


def starts(side: int, tile: int, overlap: float) -> list[int]:
    """First pixel of each tile along one side: evenly spread, the last one ends at the border."""
    if side <= tile:
        return [0]
    count = int(np.ceil((side - tile) / (tile * (1 - overlap)))) + 1
    return [round(v) for v in np.linspace(0, side - tile, count)]


def cut(
    boxes: FloatArray, corner: tuple[int, int], tile: int, size: tuple[int, int]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(N,) bool: boxes (in tile pixels) that touch an edge behind which the picture goes on."""
    near, (top, left), (height, width) = tile * _EDGE_SHARE, corner, size
    touches = np.zeros(len(boxes), np.bool_)
    if left > 0:
        touches |= boxes[:, 0] < near
    if top > 0:
        touches |= boxes[:, 1] < near
    if left + tile < width:
        touches |= boxes[:, 2] > tile - near
    if top + tile < height:
        touches |= boxes[:, 3] > tile - near
    return touches
