"""Films for Chromium's fake camera, made of photographs: motion JPEG, thirty frames a second."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
SIZE = (640, 480)
FPS = 30


def scene(photo: Path | None, height: int = 420) -> Picture:
    """(480,640,3) BGR: a photo in the middle of a grey wall, or the wall alone."""
    wall = np.full((SIZE[1], SIZE[0], 3), 150, np.uint8)
    if photo is None:
        return wall
    picture = cv2.imread(str(photo))
    assert picture is not None, photo
    width = min(round(picture.shape[1] * height / picture.shape[0]), SIZE[0])
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    top, left = (SIZE[1] - height) // 2, (SIZE[0] - width) // 2
    wall[top : top + height, left : left + width] = picture
    return wall


def write(path: Path, scenes: Iterable[tuple[Picture, float]]) -> Path:
    """Scenes and how many seconds each is shown; Chromium starts again at the end."""
    with path.open("wb") as file:
        for picture, seconds in scenes:
            _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
            file.write(data.tobytes() * round(seconds * FPS))
    return path


def arguments(film: Path) -> list[str]:
    """What makes Chromium take the film for its camera."""
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]


def turning_head(video: Path) -> dict[str, list[Picture]]:
    """Pictures of somebody on film by what a kiosk asks for: straight, left, right, closer.

    Left and right are the person's own. Each list begins straight and ends where the head stays.
    """
    from arcid.pipeline import load_detector
    from arcid.quality import pose

    detector = load_detector()
    film = cv2.VideoCapture(str(video))
    fps = film.get(cv2.CAP_PROP_FPS)
    film.set(cv2.CAP_PROP_POS_FRAMES, int(4.34 * fps))
    seen: list[tuple[float, Picture]] = []
    middle: npt.NDArray[np.float32] | None = None
    for index in range(int(7.2 * fps)):
        good, frame = film.read()
        assert good
        if index % 3:
            continue
        found = detector.detect([np.ascontiguousarray(frame[..., ::-1])])[0]
        if not len(found) or found.points is None:
            continue
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        own = 0 if middle is None else int(np.linalg.norm(centres - middle, axis=1).argmin())
        if middle is None:
            own = int(found.sizes.prod(axis=1).argmax())
        middle = centres[own]
        yaw = float(pose(found.points[own][None])[0, 0])
        picture = np.asarray(frame, np.uint8)
        seen.append((yaw, _around(picture, middle, float(found.sizes[own].max()))))
    film.release()
    yaws = np.array([yaw for yaw, _ in seen])
    straight = int(np.abs(yaws).argmin())
    start = seen[straight][1]

    def towards(sign: int) -> list[Picture]:
        picked = sorted((sign * yaw, i) for i, (yaw, _) in enumerate(seen) if 0 < sign * yaw < 45)
        steps = [seen[i][1] for _, i in picked]
        count = min(len(steps), 10)
        chosen = [steps[round(j * (len(steps) - 1) / max(count - 1, 1))] for j in range(count)]
        return [start, *chosen]

    zooms = [1 + 0.06 * step for step in range(10)]
    return {
        "straight": [start],
        "left": towards(1),
        "right": towards(-1),
        "closer": [_zoomed(start, zoom) for zoom in zooms],
    }


def card(photo: Path) -> dict[str, list[Picture]]:
    """The same for a photograph held up and turned about its upright axis as asked."""
    flat = scene(photo)

    def turned(degrees: float) -> Picture:
        width, height = SIZE
        distance = 2.2 * width
        angle = np.radians(degrees)
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
        corners *= np.array([width / 2, height / 2], np.float32)
        depth = corners[:, 0] * np.sin(angle)
        scale = distance / (distance + depth)
        to = np.stack([corners[:, 0] * np.cos(angle) * scale, corners[:, 1] * scale], axis=1)
        centre = np.array([width / 2, height / 2], np.float32)
        matrix = cv2.getPerspectiveTransform(corners + centre, (to + centre).astype(np.float32))
        seen = cv2.warpPerspective(flat, matrix, SIZE, borderValue=(150, 150, 150))
        return np.asarray(seen, np.uint8)

    degrees = [4.6 * step for step in range(11)]
    return {
        "straight": [flat],
        "left": [turned(d) for d in degrees],
        "right": [turned(-d) for d in degrees],
        "closer": [turned(d) for d in degrees],
    }


def still(photo: Path) -> dict[str, list[Picture]]:
    """A photograph held still whatever is asked."""
    return {name: [scene(photo)] for name in ("straight", "left", "right", "closer")}


def encoded(pictures: dict[str, list[Picture]]) -> dict[str, list[str]]:
    """As data URLs for ``ACTOR`` and ``STAGE``."""
    import base64

    def url(picture: Picture) -> str:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
        return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()

    return {name: [url(picture) for picture in shown] for name, shown in pictures.items()}


def _around(frame: Picture, centre: npt.NDArray[np.float32], size: float) -> Picture:
    height = size * 2.2
    width = height * SIZE[0] / SIZE[1]
    corners = np.array(
        [[-width / 2, -height / 2], [width / 2, -height / 2], [-width / 2, height / 2]], np.float32
    )
    target = np.array([[0, 0], [SIZE[0], 0], [0, SIZE[1]]], np.float32)
    matrix = cv2.getAffineTransform((corners + centre).astype(np.float32), target)
    moved = cv2.warpAffine(frame, matrix, SIZE, borderMode=cv2.BORDER_REPLICATE)
    moved[:, : SIZE[0] // 4] = moved[:, -SIZE[0] // 4 :] = 150  # a wall: toys stand in the kitchen
    return np.asarray(moved, np.uint8)


def _zoomed(picture: Picture, zoom: float) -> Picture:
    matrix = cv2.getRotationMatrix2D((SIZE[0] / 2, SIZE[1] / 2), 0, zoom)
    return np.asarray(cv2.warpAffine(picture, matrix, SIZE), np.uint8)


#: Stands in for the camera: reads what the kiosk asks for and shows the pictures that answer it.
ACTOR = """
(pictures) => {
  const sheet = document.createElement("canvas");
  sheet.width = 640; sheet.height = 480;
  const pen = sheet.getContext("2d");
  const loaded = Object.fromEntries(Object.entries(pictures).map(([name, urls]) =>
    [name, urls.map((url) => Object.assign(new Image(), { src: url }))]));
  let asked = "straight", step = 0;
  const answers = [["your left", "left"], ["your right", "right"], ["a little closer", "closer"]];
  setInterval(() => {
    const prompt = document.querySelector(".camera-prompt strong, #prompt")?.innerText || "";
    const found = answers.find(([words]) => prompt.includes(words));
    const next = found && !prompt.startsWith("Come closer") ? found[1] : "straight";
    if (next !== asked) { asked = next; step = 0; }
    if (window.away) { pen.fillStyle = "#969696"; pen.fillRect(0, 0, 640, 480); return; }
    const own = loaded[asked];
    pen.drawImage(own[Math.min(step, own.length - 1)], 0, 0);
    step += 1;
  }, 240);
  const stream = sheet.captureStream(12);
  navigator.mediaDevices.getUserMedia = async () => stream.clone();
}
"""

#: Stands in for the camera: shows the picture that ``window.scene`` names for as long as it does.
STAGE = """
(pictures) => {
  const sheet = document.createElement("canvas");
  sheet.width = 640; sheet.height = 480;
  const pen = sheet.getContext("2d");
  const loaded = Object.fromEntries(Object.entries(pictures).map(([name, [url]]) =>
    [name, Object.assign(new Image(), { src: url })]));
  window.scene = Object.keys(pictures)[0];
  setInterval(() => pen.drawImage(loaded[window.scene], 0, 0), 80);
  const stream = sheet.captureStream(12);
  navigator.mediaDevices.getUserMedia = async () => stream.clone();
}
"""
