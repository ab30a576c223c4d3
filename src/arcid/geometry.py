"""Five-point template, similarity transform, warp, boxes and NMS: the only copy in the project.

Points are (x, y) pixels, origin top-left. Boxes are (N,4) float32 xyxy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray, UsageError
from arcid.types import Crops, FloatArray, Image, Template

#: The five-point template of ArcFace (Deng et al., CVPR 2019) on its 112×112 canvas: the eye on
#: the viewer's left, the other eye, nose tip, mouth corner on the viewer's left, the other corner.
ARCFACE_TEMPLATE: FloatArray = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]],
    np.float32,
)  # fmt: skip
TEMPLATE_SIZE = 112
#: The same five points of Open Model Zoo's face-reidentification-retail-0095, as shares of the
#: canvas (models/intel/face-reidentification-retail-0095/README.md there). They are ArcFace's
#: earlier ones for 96×112, stretched to a square, so a similarity transform meets them on average.
OMZ_TEMPLATE: FloatArray = np.array(
    [[0.31556875, 0.46157411], [0.68262292, 0.46157411], [0.5002625, 0.64050536],
     [0.34947188, 0.82469196], [0.65343646, 0.82469196]],
    np.float32,
)  # fmt: skip
#: The same five points in dlib's chips (150 pixels, padding 0.25), as shares of the canvas: medians
#: over 80 photographs that dlib's five-point predictor cut, as SCRFD-2.5G found them there. dlib
#: aligns by the corners of the eyes and the nose's base, which no detector here gives.
DLIB_TEMPLATE: FloatArray = np.array(
    [[0.3142, 0.2973], [0.6727, 0.2973], [0.4901, 0.5251], [0.3471, 0.6810], [0.6413, 0.6801]],
    np.float32,
)


def template_points(size: int, template: Template = "arcface") -> FloatArray:
    """(5,2) float32 points of a template scaled to a ``size`` × ``size`` canvas; ``box`` has
    none (``UsageError``)."""
    if template == "box":
        raise UsageError("the template 'box' is cut by the box of a face; it has no points")
    if template == "arcface":
        points: FloatArray = ARCFACE_TEMPLATE * np.float32(size / TEMPLATE_SIZE)
        return points
    shares = OMZ_TEMPLATE if template == "omz" else DLIB_TEMPLATE
    return np.asarray(shares * np.float32(size), np.float32)


def similarity_transform(source: npt.ArrayLike, target: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Least-squares similarity (rotation, one scale, shift; never a reflection) per face.

    (N,5,2) points in, (5,2) or (N,5,2) target points; (N,2,3) float64 matrices out. In the complex
    plane the optimum of Umeyama (TPAMI 1991) without reflection is one division.
    """
    src = np.asarray(source, np.float64)
    dst = np.broadcast_to(np.asarray(target, np.float64), src.shape)
    if src.ndim != 3 or src.shape[2] != 2:
        raise InvalidArray(f"points must have shape (N,P,2), got {src.shape}")
    z, w = src[..., 0] + 1j * src[..., 1], dst[..., 0] + 1j * dst[..., 1]
    z_mean, w_mean = z.mean(axis=1), w.mean(axis=1)
    zc, wc = z - z_mean[:, None], w - w_mean[:, None]
    power = (np.abs(zc) ** 2).sum(axis=1)
    if (power < 1e-9).any():
        raise InvalidArray("the five points of a face coincide; it cannot be aligned")
    a = (zc.conj() * wc).sum(axis=1) / power
    b = w_mean - a * z_mean
    matrix = np.empty((len(src), 2, 3))
    matrix[:, 0] = np.stack([a.real, -a.imag, b.real], axis=1)
    matrix[:, 1] = np.stack([a.imag, a.real, b.imag], axis=1)
    return matrix


def warp(image: Image, matrix: npt.NDArray[Any], size: int) -> Image:
    """(H,W,3) uint8 in, (size,size,3) uint8 out; bilinear, black outside the image.

    ``matrix`` (2,3) maps image pixels to canvas pixels. Faces more than twice the canvas are first
    shrunk by area averaging, so that a 24-megapixel portrait does not alias. Raises
    ``InvalidArray`` for a matrix that cannot be inverted.
    """
    import cv2

    m = np.asarray(matrix, np.float64)
    if not abs(m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]) > 1e-12:
        raise InvalidArray("the warp would squeeze the photo into a point or a line")
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64)
    inverse = np.linalg.inv(np.vstack([m, [0, 0, 1]]))[:2]
    scale = float(np.sqrt(abs(np.linalg.det(inverse[:, :2]))))  # image pixels per canvas pixel
    if scale > 2:
        quad = corners @ inverse[:, :2].T + inverse[:, 2]
        height, width = image.shape[:2]
        x0, y0 = np.clip(np.floor(quad.min(axis=0) - scale), 0, [width, height]).astype(int)
        x1, y1 = np.clip(np.ceil(quad.max(axis=0) + scale), 0, [width, height]).astype(int)
        if x1 - x0 >= 2 and y1 - y0 >= 2:
            shrunk = (max(1, round((x1 - x0) / scale)), max(1, round((y1 - y0) / scale)))
            sx, sy = (x1 - x0) / shrunk[0], (y1 - y0) / shrunk[1]
            part = cv2.resize(image[y0:y1, x0:x1], shrunk, interpolation=cv2.INTER_AREA)
            image = np.asarray(part, np.uint8)
            # pixel centres: x_full = (x_small + 0.5) * sx - 0.5 + x0
            shift = np.array([(sx - 1) / 2 + x0, (sy - 1) / 2 + y0])
            m = np.hstack([m[:, :2] * [sx, sy], (m[:, :2] @ shift + m[:, 2])[:, None]])
    warped = cv2.warpAffine(image, m, (size, size), flags=cv2.INTER_LINEAR, borderValue=0)
    return np.asarray(warped, np.uint8)


def recut(crops: Crops, size: int, template: Template) -> Crops:
    """(N,S,S,3) crops on the ArcFace template in; on another template of points out, as
    (N,size,size,3). Crops for ``arcface`` and ``box`` come back as they are."""
    if template in ("arcface", "box") or not len(crops):
        return crops
    target = template_points(size, template)
    matrix = similarity_transform(template_points(crops.size)[None], target)[0]
    return Crops(np.stack([warp(pixels, matrix, size) for pixels in crops.pixels]))


def upright(
    boxes: FloatArray, points: FloatArray, size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """(N,2,3) matrices from the picture onto (size,size) crops, and the (N,) that can be cut.

    The crop has the middle and the area of the box and is turned as the points are against the
    template. Boxes without area and points that coincide cannot be cut.
    """
    box, five = boxes.astype(np.float64), points.astype(np.float64)
    side = np.sqrt(np.clip(box[:, 2:] - box[:, :2], 0, None).prod(axis=1))
    spread = ((five - five.mean(axis=1, keepdims=True)) ** 2).sum(axis=(1, 2))
    usable = np.isfinite(box).all(axis=1) & (side > 1) & np.isfinite(spread) & (spread > 1e-3)
    matrices = np.zeros((len(box), 2, 3))
    if usable.any():
        turn = similarity_transform(five[usable], template_points(size))[:, :, :2]
        turn /= np.sqrt(np.linalg.det(turn))[:, None, None]
        turn *= size / side[usable, None, None]
        middle = (box[usable, :2] + box[usable, 2:]) / 2
        matrices[usable, :, :2] = turn
        matrices[usable, :, 2] = (size - 1) / 2 - np.einsum("nij,nj->ni", turn, middle)
    return matrices, usable


def undo(points: npt.NDArray[Any], matrices: npt.NDArray[Any]) -> FloatArray:
    """(N,P,2) crop pixels to those of the picture that (N,2,3) matrices cut them from."""
    inverse = np.linalg.inv(matrices[:, :, :2])
    back = np.einsum("nij,npj->npi", inverse, points - matrices[:, None, :, 2])
    moved: FloatArray = back.astype(np.float32)
    return moved


def letterbox(image: Image, height: int, width: int) -> tuple[Image, float]:
    """Resize (H,W,3) to fit ``height`` × ``width``, black padding right and below.

    Returns the canvas and the scale (canvas pixels per image pixel). Pixel centres map as
    ``x_canvas = (x + 0.5) * scale - 0.5``.
    """
    import cv2

    scale = min(height / image.shape[0], width / image.shape[1])
    new_h = max(1, min(height, round(image.shape[0] * scale)))
    new_w = max(1, min(width, round(image.shape[1] * scale)))
    canvas = np.zeros((height, width, 3), np.uint8)
    method = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    canvas[:new_h, :new_w] = cv2.resize(image, (new_w, new_h), interpolation=method)
    return canvas, scale


def box_iou(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """(N,4) and (M,4) xyxy in; (N,M) float32 intersection over union out."""
    x, y = np.asarray(a, np.float32), np.asarray(b, np.float32)
    low = np.maximum(x[:, None, :2], y[None, :, :2])
    high = np.minimum(x[:, None, 2:], y[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    area_x = np.clip(x[:, 2:] - x[:, :2], 0, None).prod(axis=1)
    area_y = np.clip(y[:, 2:] - y[:, :2], 0, None).prod(axis=1)
    iou: FloatArray = overlap / np.maximum(area_x[:, None] + area_y[None] - overlap, 1e-9)
    return iou


def nms(boxes: npt.ArrayLike, scores: npt.ArrayLike, iou_threshold: float) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression; indices of the kept boxes, best score first."""
    all_boxes = np.asarray(boxes, np.float32)
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    keep: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        keep.append(int(best))
        if not len(rest):
            break
        order = rest[box_iou(all_boxes[best : best + 1], all_boxes[rest])[0] <= iou_threshold]
    return np.array(keep, np.intp)


def rotate_quarter(image: Image, quarters: int) -> Image:
    """Turn (H,W,3) counter-clockwise by ``quarters`` × 90°."""
    return np.ascontiguousarray(np.rot90(image, quarters))


def rotation_matrix(height: int, width: int, angle_deg: float) -> npt.NDArray[np.float64]:
    """(2,3) matrix that turns an image counter-clockwise about its centre on a canvas that holds
    all of it; ``rotated_size`` gives that canvas."""
    theta = np.deg2rad(angle_deg)
    cos, sin = np.cos(theta), np.sin(theta)
    turn = np.array([[cos, sin], [-sin, cos]])
    new_h, new_w = rotated_size(height, width, angle_deg)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    new_centre = np.array([(new_w - 1) / 2, (new_h - 1) / 2])
    return np.hstack([turn, (new_centre - turn @ centre)[:, None]])


def rotated_size(height: int, width: int, angle_deg: float) -> tuple[int, int]:
    """(height, width) of the canvas that holds the image turned by ``angle_deg``."""
    theta = np.deg2rad(angle_deg)
    cos, sin = abs(np.cos(theta)), abs(np.sin(theta))
    sides = np.array([height * cos + width * sin, height * sin + width * cos])
    new_height, new_width = np.ceil(sides.round(6))  # cos 90° is not quite 0
    return int(new_height), int(new_width)


def apply_affine(matrix: npt.NDArray[Any], points: npt.ArrayLike) -> FloatArray:
    """(2,3) matrix on (...,2) points; (...,2) float32 out."""
    moved: FloatArray = (np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]).astype(
        np.float32
    )
    return moved
