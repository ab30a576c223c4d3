"""The twelve lines of each application in ``examples/applications`` do what their page says."""

from __future__ import annotations

import ast
import runpy
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.documents import card

from arcid.apps.demo import Broadcast, loop
from arcid.image import load_image

FOLDER = Path(__file__).parents[2] / "examples/applications"
LINES = 12  # without imports, docstring and blank lines
PHOTOS = {
    "ada1.jpg": "deepface-pairs/img1.jpg",
    "ada2.jpg": "deepface-pairs/img2.jpg",
    "grace1.jpg": "deepface-pairs/img3.jpg",
    "probe.jpg": "deepface-pairs/img4.jpg",
    "login.jpg": "spoof/image_T1.jpg",
    "people/Ada/1.jpg": "deepface-pairs/img1.jpg",
    "people/Ada/2.jpg": "deepface-pairs/img2.jpg",
    "people/Grace/1.jpg": "deepface-pairs/img3.jpg",
}
FRAMES, FPS, SIZE = 30, 10, (640, 480)


@pytest.fixture(scope="module")
def laid_out(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos and the camera's recording that the files speak of."""
    folder = tmp_path_factory.mktemp("applications")
    for name, source in PHOTOS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data_dir / "data" / source, folder / name)
    ada = load_image(folder / "probe.jpg")
    page = card(load_image(folder / "ada1.jpg"))
    cv2.imwrite(str(folder / "document.jpg"), page[..., ::-1])
    alive = load_image(folder / "login.jpg")
    cv2.imwrite(str(folder / "badge.jpg"), alive[:, ::-1, ::-1])
    canvas = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
    height = SIZE[1] - 40
    small = cv2.resize(ada, (round(ada.shape[1] * height / ada.shape[0]), height))[:, : SIZE[0]]
    writer = cv2.VideoWriter(str(folder / "door.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    for number in range(FRAMES):
        frame = canvas.copy()
        left = min(number, SIZE[0] - small.shape[1])
        frame[20 : 20 + height, left : left + small.shape[1]] = small
        writer.write(frame[..., ::-1])
    writer.release()
    return folder


@pytest.fixture
def ran(
    request: pytest.FixtureRequest,
    laid_out: Path,
    environment: Path,
    opened_models: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """What a file left behind, run in the folder of the photos."""
    monkeypatch.chdir(laid_out)
    if request.param == "workforce_login":
        monkeypatch.setenv("ARCID_MODELS", str(request.getfixturevalue("liveness_models")))
    camera = laid_out / "door.mp4"
    with Broadcast({"door": partial(loop, camera)}) as streams:
        monkeypatch.setenv("DOOR_CAMERA", streams.address("door"))
        left = runpy.run_path(str(FOLDER / f"{request.param}.py"))
    yield left
    if "gallery" in left:
        left["gallery"].close()


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("ran", [name], indirect=True)


FILES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_twelve_lines_and_the_page_shows_them(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    assert ast.get_docstring(tree)
    statements = tree.body[1:]
    lines = {
        number
        for node in statements
        if not isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    assert 0 < len(lines) <= LINES, len(lines)
    page = (FOLDER.parents[1] / "docs/applications.md").read_text("utf-8")
    assert f'--8<-- "{file.relative_to(FOLDER.parents[1]).as_posix()}"' in page
    assert f"def test_{file.stem}(" in Path(__file__).read_text("utf-8"), "no test runs it"


@pytest.mark.data
@of("verify")
def test_verify(ran: dict[str, Any]) -> None:
    assert ran["answer"].decision.outcome == "match"


@pytest.mark.data
@of("onboarding")
def test_onboarding(ran: dict[str, Any]) -> None:
    assert ran["decided"].state == "accepted", [c.code for c in ran["decided"].reasons]
    assert "selfie" in ran["decided"].pictures


@pytest.mark.data
@pytest.mark.slow
@of("workforce_login")
def test_workforce_login(ran: dict[str, Any]) -> None:
    assert ran["answer"].accepted


@pytest.mark.data
@of("access_control")
def test_access_control(ran: dict[str, Any]) -> None:
    granted = [one for one in ran["passages"] if one.granted]
    assert [one.name for one in granted] == ["Ada"]


@pytest.mark.data
@of("duplicate_accounts")
def test_duplicate_accounts(ran: dict[str, Any]) -> None:
    (pair,) = ran["pairs"]
    assert {pair.a.name, pair.b.name} == {"ada", "a.lovelace"}


@pytest.mark.data
@of("face_search")
def test_face_search(ran: dict[str, Any]) -> None:
    (face,) = ran["found"]
    assert (face.decision.outcome, face.candidates[0].name) == ("match", "Ada")


@pytest.mark.data
@of("watchlist")
def test_watchlist(ran: dict[str, Any]) -> None:
    (alert,) = ran["alerts"]
    assert (alert.name, alert.level) == ("Ada", "alert")


@pytest.mark.data
@of("attendance")
def test_attendance(ran: dict[str, Any]) -> None:
    assert [e.kind for e in ran["book"].events() if e.name == "Ada"][-1:] == ["arrival"]
    assert "Ada" in ran["sheet"]
