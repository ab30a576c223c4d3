"""One face through one network: OpenVINO against ONNX Runtime, in one run, in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from arcid.bench.common import Row, compared, interleaved, row
from arcid.errors import MissingExtra, UsageError
from arcid.runtime import RuntimeName, open_session

THREADS = 2
BATCH = 64
#: Highest ratio of OpenVINO int8 to the peer: "ort" is the fastest ONNX Runtime form of the run.
TARGETS = {
    "mobilefacenet": ("ort", 0.6),
    "mobilefacenet_1x": ("ort", 0.6),
    "iresnet50": ("ort fp32", 0.35),
}
FORMS: dict[str, tuple[RuntimeName, str, str]] = {
    "ort fp32": ("onnxruntime", "f32", "float"),
    "ort int8": ("onnxruntime", "f32", "int8-ort"),
    "openvino fp32": ("openvino", "f32", "float"),
    "openvino bf16": ("openvino", "bf16", "float"),
    "openvino int8": ("openvino", "f32", "int8"),
}


def run(
    networks: Sequence[str] = tuple(TARGETS),
    *,
    threads: int = THREADS,
    rounds: int = 9,
    seconds: float = 10.0,
) -> list[Row]:
    """Rows for every network and form; ``seconds`` is spent timing each network, about."""
    unknown = sorted(set(networks) - set(TARGETS))
    if unknown:
        raise UsageError(f"networks {unknown} are unknown; known: {', '.join(TARGETS)}")
    rows = []
    for name in networks:
        with tempfile.TemporaryDirectory(prefix="arcid-bench-") as folder:
            rows += _network(name, Path(folder), threads, rounds, seconds)
    return rows


def _network(name: str, folder: Path, threads: int, rounds: int, seconds: float) -> list[Row]:
    try:
        from arcid.bench import networks, quantise
    except ImportError:
        raise MissingExtra("timing networks", "bench") from None
    model, built = networks.NETWORKS[name]()
    files = {"float": networks.save(model, folder / "float.onnx")}
    files["int8"] = quantise.with_nncf(files["float"], folder / "int8.onnx")
    files["int8-ort"] = quantise.with_onnxruntime(files["float"], folder / "int8-ort.onnx")
    face = np.random.default_rng(1).normal(0, 0.5, (1, 3, 112, 112)).astype(np.float32)
    forms: dict[str, Callable[[], Any]] = {}
    for form, (runtime, precision, file) in FORMS.items():
        session = open_session(files[file], runtime=runtime, precision=precision, threads=threads)
        forms[form] = partial(session.run, face)
    _check_answers(name, forms)
    once = sum(t.median_ms for t in interleaved(forms, rounds=1, calls=3).values()) / 1e3
    calls = max(3, int(seconds / rounds / once))
    timings = interleaved(forms, rounds=rounds, calls=calls)
    wanted, limit = TARGETS[name]
    own = min((f for f in timings if f.startswith("ort")), key=lambda f: timings[f].median_ms)
    peer = own if wanted == "ort" else wanted
    size = f"{built.macs / 1e6:.0f} M MACs, {built.parameters / 1e6:.1f} M parameters"
    rows = compared(
        f"{name}, one face, {threads} threads", timings, peer, target={"openvino int8": limit}
    )
    for line in rows:
        line["notes"] = size
    return rows + _batches(name, files["int8"], threads, rounds, seconds / 2)


def _batches(name: str, file: Path, threads: int, rounds: int, seconds: float) -> list[Row]:
    """A batch through ``OnnxEmbedder`` against the same crops one by one, a face."""
    from arcid.embed import OnnxEmbedder
    from arcid.models.goldens import synthetic_crops
    from arcid.models.manifest import InputSpec, Licence, Manifest, OutputSpec
    from arcid.types import Crops

    spec = InputSpec("input", "RGB", (127.5,) * 3, (127.5,) * 3, (112, 112))
    manifest = Manifest(
        name=name,
        task="recognition",
        family="arcface",
        sha256="0" * 64,
        input=spec,
        output=OutputSpec("output", 512),
        licence=Licence("none: random weights"),
        precision="int8",
    )
    embedder = OnnxEmbedder(open_session(file, runtime="openvino", threads=threads), manifest)
    crops = Crops(np.tile(synthetic_crops(112).pixels, (BATCH // 4, 1, 1, 1)))
    singles = [crops[i] for i in range(BATCH)]

    def one_by_one() -> None:
        for single in singles:
            embedder.embed(single)

    forms: dict[str, Callable[[], Any]] = {
        "singles": one_by_one,
        f"batch of {BATCH}": partial(embedder.embed, crops),
    }
    once = sum(t.median_ms for t in interleaved(forms, rounds=1, calls=1).values()) / 1e3
    rounds = max(3, min(4 * rounds, int(seconds / once)))
    timings = interleaved(forms, rounds=rounds, calls=1, warmups=0)
    batch = timings[f"batch of {BATCH}"]
    return [
        row(
            f"{name} int8 through the embedder, a face",
            f"batch of {BATCH}",
            batch.median_ms / BATCH,
            "ms",
            peer="singles",
            ratio=batch.ratio(timings["singles"]),
            target_ratio=1.0,
            samples=batch.samples,
            best=batch.best_ms / BATCH,
        )
    ]


def _check_answers(name: str, forms: dict[str, Callable[[], Any]]) -> None:
    """Refuse to time networks that compute different things."""
    vectors = {form: call()["output"][0] for form, call in forms.items()}
    reference = vectors["ort fp32"]
    for form, vector in vectors.items():
        cosine = float(vector @ reference / np.linalg.norm(vector) / np.linalg.norm(reference))
        if cosine < 0.95:
            raise UsageError(
                f"{name}: {form} answers otherwise than ort fp32 (cosine {cosine:.3f})"
            )
