"""The arithmetic of the benchmarks and the networks they time; timing itself is not tested."""

from __future__ import annotations

import csv
import platform
from pathlib import Path

import numpy as np
import pytest

from arcid.bench import common, hardware_slug, networks, power
from arcid.errors import UsageError
from arcid.runtime import RUNTIMES, open_session


def test_ratios_are_taken_within_rounds() -> None:
    # The machine was ten times slower in the second round: that must not favour anyone.
    fast = common.Timing(((1.0, 1.0, 9.0), (10.0, 10.0, 10.0), (1.0, 1.0, 1.0)))
    slow = common.Timing(((2.0, 2.0, 2.0), (20.0, 20.0, 20.0), (4.0, 4.0, 4.0)))
    assert fast.ratio(slow) == 0.5
    assert (fast.samples, fast.best_ms) == (9, 1000.0)
    rows = common.compared("m", {"a": fast, "b": slow}, "b", target={"a": 0.4})
    assert [(r["form"], r["ratio"], r["met"]) for r in rows] == [
        ("a", 0.5, False),
        ("b", 1.0, None),
    ]
    assert "MISSED" in common.lines(rows)[0]


def test_forms_take_turns() -> None:
    order: list[str] = []
    forms = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    timings = common.interleaved(forms, rounds=2, calls=1, warmups=0)
    assert order == ["a", "b", "a", "b"]
    assert timings["a"].samples == 2


def test_results_name_the_hardware_and_not_the_host(tmp_path: Path) -> None:
    slug = hardware_slug()
    assert slug == slug.lower()
    assert "cores" in slug
    assert platform.node().lower() not in slug
    common.write_csv(tmp_path / "r" / "x.csv", [common.row("m", "f", 1.0, "s", samples=3)])
    with (tmp_path / "r" / "x.csv").open(newline="") as stream:
        (line,) = csv.DictReader(stream)
    assert (line["measure"], line["samples"], line["cores"]) == (
        "m",
        "3",
        common.hardware()["cores"],
    )
    assert line["openvino"]


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [("mobilefacenet", 437.5, 2.04), ("mobilefacenet_1x", 221.2, 1.18)],
)
def test_networks_are_the_published_ones(
    tmp_path: Path, name: str, macs: float, parameters: float
) -> None:
    model, built = networks.NETWORKS[name]()
    assert built.macs / 1e6 == pytest.approx(macs, rel=0.01)
    assert built.parameters / 1e6 == pytest.approx(parameters, rel=0.01)
    path = networks.save(model, tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(0, 0.5, (2, 3, 112, 112)).astype(np.float32)
    a, b = (open_session(path, runtime=r, threads=1).run(x)["output"] for r in RUNTIMES)
    assert a.shape == (2, 512)
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.9999


def test_a_small_iresnet_counts_as_the_large_one_does() -> None:
    _, built = networks.iresnet((1, 1, 1, 1))
    # By hand: stem, four blocks (3×3, 3×3 halving, 1×1 halving) and the last matrix.
    macs = 112 * 112 * 64 * 27
    size, before = 112, 64
    for channels in (64, 128, 256, 512):
        half = size // 2
        macs += size * size * before * channels * 9
        macs += half * half * channels * (channels * 9 + before)
        size, before = half, channels
    assert built.macs == macs + 512 * 49 * 512


def test_unknown_networks_are_refused() -> None:
    from arcid.bench import runtime

    with pytest.raises(UsageError, match="known: mobilefacenet"):
        runtime.run(["resnet18"])


def counters(root: Path, *joules: float) -> None:
    for number, value in enumerate(joules):
        folder = root / f"intel-rapl:{number}"
        (folder / "intel-rapl:0:0").mkdir(parents=True, exist_ok=True)
        (folder / "energy_uj").write_text(f"{int(value * 1e6)}\n")
        (folder / "max_energy_range_uj").write_text(f"{int(100 * 1e6)}\n")


def test_watts_are_joules_of_all_packages_over_the_time(tmp_path: Path) -> None:
    counters(tmp_path, 10, 95)
    packages = power.Packages.find(tmp_path)
    assert isinstance(packages, power.Packages) and len(packages.folders) == 2
    before = packages.read()
    counters(tmp_path, 13, 5)  # the second began anew at 100
    assert packages.joules(before, packages.read()) == pytest.approx(3 + 10)
    counters(tmp_path, 20, 5)
    load = power.measured(lambda: counters(tmp_path, 22, 6), 0, packages)
    assert load.calls == 1 and load.watts == pytest.approx(3 / load.seconds)


def test_a_machine_without_counters_says_why(tmp_path: Path) -> None:
    rows = power.run(seconds=0, root=tmp_path)
    assert {row["measure"] for row in rows} == {"throughput, one at a time"}
    assert all(row["value"] > 0 and "has no RAPL counters" in row["notes"] for row in rows)
    counters(tmp_path, 1)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("none")
    assert power.Packages.find(tmp_path) == "RAPL counters hold no numbers"


def test_a_machine_with_counters_has_a_row_of_watts_for_each(tmp_path: Path) -> None:
    counters(tmp_path, 1)
    rows = power.run(seconds=0, root=tmp_path)
    watts = [row["form"] for row in rows if row["measure"] == "power"]
    assert watts[0] == "idle" and len(watts) == 3
    assert {row["unit"] for row in rows} == {"W", "1/s"}
