"""Same embeddings through InsightFace's published evaluators and through ours.

    python benchmarks/evaluate_parity.py --reference PATH/TO/insightface

``--reference`` is a checkout of github.com/deepinsight/insightface; its files are read, never
copied. Modules that it imports but the numbers do not need (mxnet, torch where it is not installed)
are replaced by empty ones; its IJB scripts run on import, so their functions are taken out one by
one. Prints each pair of numbers and fails where they differ by more than 1e-6.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import sys
import types
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from arcid.evaluate import metrics
from arcid.evaluate.protocols.ijb import pool_templates, template_scores

TOLERANCE = 1e-6
VERIFICATION = "recognition/arcface_torch/eval/verification.py"
IJBC = "recognition/arcface_torch/eval_ijbc.py"
IJB_1N = "recognition/_evaluation_/ijb/ijb_evals.py"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows: list[tuple[str, float, float]] = []
    for seed in range(options.seeds):
        rows += verification(options.reference, seed)
        rows += templates(options.reference, seed)
        rows += identification(options.reference, seed)
    print(f"{'number':44s} {'reference':>14s} {'arcid':>14s} {'difference':>11s}")
    worst = 0.0
    for name, theirs, ours in rows:
        worst = max(worst, abs(theirs - ours))
        print(f"{name:44s} {theirs:14.9f} {ours:14.9f} {abs(theirs - ours):11.1e}")
    print(f"{len(rows)} numbers, largest difference {worst:.1e} (allowed {TOLERANCE:.0e})")
    return 0 if worst <= TOLERANCE else 1


def people(count: int, photos: int, dim: int, spread: float, seed: int) -> tuple[Any, Any]:
    """Synthetic raw features (N,D) float32 with varying norms, and labels."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((count, dim))
    labels = np.repeat(np.arange(count), photos)
    raw = centres[labels] + spread * rng.standard_normal((len(labels), dim))
    raw *= rng.uniform(0.5, 2.0, (len(labels), 1))
    return raw.astype(np.float32), labels


def verification(reference: Path, seed: int) -> list[tuple[str, float, float]]:
    """6,000 pairs in ten folds: accuracy, TAR at FAR 1e-3, the whole ROC."""
    module = load_verification(reference / VERIFICATION)
    raw, labels = people(1500, 4, 128, 1.5, seed)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    rng = np.random.default_rng(seed + 100)
    a = rng.integers(0, len(labels), 6000)
    same = np.arange(6000) // 300 % 2 == 0
    mate = a // 4 * 4 + (a + rng.integers(1, 4, 6000)) % 4
    b = np.where(same, mate, (a + 4 * rng.integers(1, 1499, 6000)) % len(labels))
    stacked = np.stack([unit[a], unit[b]], axis=1).reshape(-1, 128)
    tpr, fpr, accuracy, val, val_std, far = module.evaluate(stacked, same, nrof_folds=10)
    squared = np.sum(np.square(np.subtract(stacked[0::2], stacked[1::2])), 1)
    ours = metrics.arcface_torch_kfold(squared, same)
    name = f"verification seed {seed}: "
    return [
        (name + "accuracy", float(np.mean(accuracy)), ours.accuracy),
        (name + "accuracy std", float(np.std(accuracy)), ours.std),
        (name + "largest fold difference", 0.0, float(np.abs(accuracy - ours.accuracies).max())),
        (name + "TAR@FAR 1e-3", float(val), ours.val),
        (name + "TAR std", float(val_std), ours.val_std),
        (name + "FAR reached", float(far), ours.far),
        (name + "ROC, largest TPR difference", 0.0, float(np.abs(tpr - ours.tpr).max())),
        (name + "ROC, largest FPR difference", 0.0, float(np.abs(fpr - ours.fpr).max())),
    ]


def templates(reference: Path, seed: int) -> list[tuple[str, float, float]]:
    """Template pooling with norms and detector scores as weights, pair scores, TAR@FAR table."""
    source = (reference / IJBC).read_text("utf-8")
    space: dict[str, Any] = {"np": np, "print": lambda *_: None}
    space["sklearn"] = types.SimpleNamespace(preprocessing=import_module("sklearn.preprocessing"))
    curves = import_module("sklearn.metrics")
    space |= {"roc_curve": curves.roc_curve, "auc": curves.auc}
    functions(source, ("image2template_feature", "verification"), space)
    raw, labels = people(300, 24, 64, 2.0, seed)
    rng = np.random.default_rng(seed)
    template_ids = np.arange(len(raw)) // 6 * 3 + 1
    media = rng.integers(0, 4, len(raw))
    faceness = rng.uniform(0.3, 1, len(raw)).astype(np.float32)
    pooled, ids = space["image2template_feature"](raw * faceness[:, None], template_ids, media)
    subject = labels[::6]
    i, j = rng.integers(0, len(ids), (2, 400_000))
    mates = np.repeat(np.arange(len(ids)), 3), np.repeat(np.arange(len(ids)) // 4 * 4, 3)
    i = np.append(i, mates[0])
    j = np.append(j, mates[1] + np.tile([1, 2, 3], len(ids)))
    keep = i != j
    i, j = i[keep], j[keep]
    label = (subject[i] == subject[j]).astype(int)
    theirs = space["verification"](pooled, ids, ids[i], ids[j])
    norms = np.linalg.norm(raw, axis=1)
    ours_ids, ours_pooled, failed = pool_templates(
        raw / norms[:, None], template_ids, media, weights=norms * faceness
    )
    first, second = np.searchsorted(ours_ids, ids[i]), np.searchsorted(ours_ids, ids[j])
    ours = template_scores(ours_pooled, failed, first, second)
    name = f"templates seed {seed}: "
    rows = [
        (name + "largest feature difference", 0.0, float(np.abs(pooled - ours_pooled).max())),
        (name + "largest score difference", 0.0, float(np.abs(theirs - ours).max())),
    ]
    table = tar_table(source, space, theirs, label)
    genuine, impostor = metrics.split_scores(ours, label == 1)
    for rate, tar in table.items():
        mine = metrics.tar_at_fmr(
            genuine, impostor, rate, convention="nearest", allow_unsupported=True
        )
        rows.append((name + f"TAR@FAR {rate:.0e}", tar, mine))
    return rows


def identification(reference: Path, seed: int) -> list[tuple[str, float, float]]:
    """Open-set search: ranks, and DIR at the thresholds that the reference chooses."""
    space: dict[str, Any] = {"np": np, "print": lambda *_: None}
    source = (reference / IJB_1N).read_text("utf-8")
    functions(source, ("evaluation_1N",), space)
    raw, labels = people(900, 4, 64, 1.1, seed)
    unit = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float64)
    gallery = np.flatnonzero((np.arange(len(labels)) % 4 == 0) & (labels < 500))
    probes = np.flatnonzero(np.arange(len(labels)) % 4 != 0)
    fars = [0.01, 0.1]
    top_1, top_5, top_10, thresholds, recalls, _ = space["evaluation_1N"](
        unit[probes], unit[gallery], labels[probes], labels[gallery], fars
    )
    found = metrics.search(unit[probes], labels[probes], unit[gallery], labels[gallery])
    ranks, mated = found.mated_ranks, len(found.mated_ranks)
    name = f"identification seed {seed}: "
    rows = [
        (name + f"rank {k}", float(count) / mated, float((ranks <= k).mean()))
        for k, count in ((1, top_1), (5, top_5), (10, top_10))
    ]
    ordered = np.sort(found.nonmated_scores)[::-1]
    for far, threshold, recall in zip(fars, thresholds, recalls, strict=True):
        mine = ordered[max(int(len(ordered) * far) - 1, 0)]
        rows.append((name + f"threshold at FPIR {far}", float(threshold), float(mine)))
        accepted = 1 - metrics.fnir(found.mated_scores, ranks, float(np.nextafter(mine, 2)))
        rows.append((name + f"DIR at FPIR {far}", float(recall), accepted))
    return rows


def load_verification(path: Path) -> Any:
    """Import the reference's module; what it imports for reading images may be missing."""
    for missing in ("mxnet", "torch"):
        if missing not in sys.modules and importlib.util.find_spec(missing) is None:
            sys.modules[missing] = stand_in(missing)
    spec = importlib.util.spec_from_file_location("reference_verification", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not there; --reference needs an insightface checkout")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.interpolate = types.SimpleNamespace(interp1d=interp1d_of_old)
    return module


def interp1d_of_old(x: Any, y: Any, kind: str) -> Any:
    """SciPy's own interpolation; today's refuses repeated x, of which the last is kept here."""
    last = np.flatnonzero(np.append(x[1:] != x[:-1], True))
    return import_module("scipy.interpolate").interp1d(x[last], y[last], kind=kind)


def stand_in(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.ndarray = types.ModuleType(f"{name}.ndarray")  # type: ignore[attr-defined]
    module.no_grad = lambda: lambda function: function  # type: ignore[attr-defined]
    module.Tensor = object  # type: ignore[attr-defined]
    return module


def functions(source: str, names: tuple[str, ...], space: dict[str, Any]) -> None:
    """Define these functions of a script in ``space`` without running the script."""
    space.setdefault("tqdm", lambda values, *_, **__: values)
    space.setdefault("normalize", import_module("sklearn.preprocessing").normalize)
    tree = ast.parse(source)
    body: list[ast.stmt] = [
        n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in names
    ]
    if len(body) != len(set(names)):
        raise SystemExit(f"the reference no longer has {names}")
    exec(compile(ast.Module(body, []), "reference", "exec"), space)


def tar_table(source: str, space: dict[str, Any], score: Any, label: Any) -> dict[float, float]:
    """Run the script's own table loop, its two decimals widened, and collect the row."""

    class Wider(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            return ast.copy_location(ast.Constant("%.12f"), node) if node.value == "%.2f" else node

    loops: list[ast.stmt] = [
        n
        for n in ast.parse(source).body
        if isinstance(n, ast.For) and isinstance(n.target, ast.Name) and n.target.id == "method"
    ]
    if len(loops) != 1:
        raise SystemExit("the reference no longer has its TAR@FAR table loop")
    rows: list[list[str]] = []
    rates = [10**-6, 10**-5, 10**-4, 10**-3, 10**-2, 10**-1]
    space |= {
        "methods": ["m"],
        "scores": {"m": score},
        "label": label,
        "colours": {"m": 0},
        "x_labels": rates,
        "target": "IJBC",
        "plt": types.SimpleNamespace(plot=lambda *_, **__: None),
        "tpr_fpr_table": types.SimpleNamespace(add_row=rows.append),
    }
    loop = ast.fix_missing_locations(Wider().visit(ast.Module(loops, [])))
    exec(compile(loop, "reference", "exec"), space)
    return {r: float(v) / 100 for r, v in zip(rates, rows[0][1:], strict=True)}


if __name__ == "__main__":
    sys.exit(main())
