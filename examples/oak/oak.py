"""Who is in front of an OAK camera: both networks on the device, decisions here.

    python examples/oak/archives.py --out archives      then convert them for your device
    python examples/oak/oak.py archives/ --gallery gallery.db --collection staff
    pip install 'arcid[oak]'

The camera's frames go to the detector on the device; boxes and points are decoded here by arcid's
own decoder, faces are aligned here, and the crops go back to the recogniser on the device.
``Camera`` and ``Crops`` need an OAK; all else runs, and is tested, without one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import depthai
import numpy as np
import numpy.typing as npt

from arcid.detect import ArcidDetect
from arcid.embed import OnnxEmbedder
from arcid.gallery import Gallery
from arcid.models import goldens, weights
from arcid.models.manifest import InputSpec, Manifest
from arcid.models.weights import Bundle
from arcid.pipeline import Pipeline
from arcid.types import Image

CANVAS = (480, 640)  # of the detector's archive
Answers = dict[str, npt.NDArray[Any]]
AS_SEEN = InputSpec("images", "BGR", (0.0,) * 3, (1.0,) * 3, None)  # the graph does the rest


def answers(message: Any) -> Answers:
    """Every tensor of a ``depthai.NNData``, as float32."""
    return {n: np.asarray(message.getTensor(n), np.float32) for n in message.getAllLayerNames()}


class OnDevice:
    """A network on an OAK behind arcid's ``Session``: ``ask`` hands over (1,3,H,W) BGR 0–255."""

    runtime, device, precision = "depthai", "oak", "device's own"
    input_name = "images"

    def __init__(
        self,
        ask: Callable[[npt.NDArray[Any]], Answers],
        outputs: tuple[str, ...],
        size: tuple[int, int],
    ) -> None:
        self._ask, self.output_names = ask, outputs
        self.input_shape: tuple[int | None, ...] = (1, 3, *size)

    def run(self, tensor: npt.NDArray[Any]) -> Answers:
        given = [self._ask(tensor[i : i + 1]) for i in range(len(tensor))]
        return {name: np.concatenate([one[name] for one in given]) for name in self.output_names}


class Arrived:
    """What the camera's detector said of the frame that is being looked at."""

    def __init__(self) -> None:
        self.answers: Answers = {}

    def __call__(self, tensor: npt.NDArray[Any]) -> Answers:
        return self.answers


def on_oak(bundle: Bundle) -> Manifest:
    """A manifest that hands pixels over as the archive takes them; its vectors mean the same."""
    manifest = bundle.manifest
    size = manifest.input.size
    return replace(manifest, input=replace(AS_SEEN, size=size, batch=1))


class OakEmbedder(OnnxEmbedder):
    """The packaged recogniser on the device, under its own contract."""

    def __init__(self, session: OnDevice, bundle: Bundle) -> None:
        super().__init__(session, on_oak(bundle))
        self.contract_id = bundle.manifest.contract_id


def joined(
    see: Callable[[npt.NDArray[Any]], Answers], embed: Callable[[npt.NDArray[Any]], Answers]
) -> Pipeline:
    """arcid's pipeline over two networks on a device.

    Raises ``ModelUnsupported`` where the device's recogniser answers the goldens otherwise than the
    packaged model: then its vectors must not meet those of a gallery.
    """
    finder, recogniser = (weights.resolve_default(t) for t in ("detection", "recognition"))
    size = recogniser.manifest.input.size or (112, 112)
    detector = ArcidDetect(
        OnDevice(see, ("scores", "boxes", "points"), CANVAS),
        AS_SEEN,
        name=f"{finder.name} on OAK",
        threshold=float(finder.manifest.options["threshold"]),
        sure=None,
    )
    output = recogniser.manifest.output
    assert output is not None and output.name is not None  # recognisers have one
    embedder = OakEmbedder(OnDevice(embed, (output.name,), size), recogniser)
    goldens.check(recogniser.manifest, embedder.embed, recogniser.folder)
    return Pipeline(detector, embedder, calibration=weights.find_calibration(recogniser))


@contextmanager
def device(archives: Path) -> Iterator[tuple[Callable[[], tuple[Image, Answers]], Any]]:
    """(next frame as (480,640,3) uint8 RGB with the detector's answers, the recogniser to ask)."""
    finder, recogniser = (weights.resolve_default(t) for t in ("detection", "recognition"))
    with depthai.Pipeline() as graph:
        camera = graph.create(depthai.node.Camera).build()
        frames = camera.requestOutput(CANVAS[::-1], depthai.ImgFrame.Type.BGR888p, fps=15)
        nets = []
        for bundle in (finder, recogniser):
            net = graph.create(depthai.node.NeuralNetwork)
            net.setNNArchive(depthai.NNArchive(str(archives / f"{bundle.name}.tar.xz")))
            nets.append(net)
        frames.link(nets[0].input)
        seen, passed = nets[0].out.createOutputQueue(), nets[0].passthrough.createOutputQueue()
        asked, told = nets[1].input.createInputQueue(), nets[1].out.createOutputQueue()

        def look() -> tuple[Image, Answers]:
            message, frame = seen.get(), passed.get()
            return np.ascontiguousarray(frame.getCvFrame()[..., ::-1]), answers(message)

        def ask(tensor: npt.NDArray[Any]) -> Answers:
            asked.send(frame_of(tensor))
            return answers(told.get())

        graph.start()
        yield look, ask


def frame_of(tensor: npt.NDArray[Any]) -> Any:
    """(1,3,H,W) BGR 0–255 in; a ``depthai.ImgFrame`` out."""
    frame = depthai.ImgFrame()
    pixels = tensor[0].transpose(1, 2, 0).round().clip(0, 255).astype(np.uint8)
    frame.setCvFrame(np.ascontiguousarray(pixels), depthai.ImgFrame.Type.BGR888p)
    return frame


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path)
    parser.add_argument("--gallery", default="gallery.db")
    parser.add_argument("--collection", required=True)
    given = parser.parse_args()
    if not depthai.Device.getAllAvailableDevices():
        print("no OAK is connected", file=sys.stderr)
        return 2
    arrived = Arrived()
    with Gallery.open(given.gallery) as gallery, device(given.archives) as (look, ask):
        pipeline = joined(arrived, ask)
        while True:
            frame, arrived.answers = look()
            for one in pipeline.identify(frame, gallery, given.collection):
                print(one.decision)


if __name__ == "__main__":
    sys.exit(main())
