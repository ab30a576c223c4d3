"""How a student's cosines differ from its teachers', pair by pair.

    python benchmarks/agreement.py [--recognisers arcid-face-s,FOLDER] [--teachers A+B]

All pairs of lfw-dev's photos behind the packaged detector, and of the CelebA people of
``configs/held_out_select.txt``; the teachers' unit vectors lie side by side. Written are the
correlation with their cosines, mean and spread of the same person's pairs and of two people's, the
threshold for FMR 1e-4, and ``lookalikes``: by how much the student's cosine is greater on the tenth
of a per cent of two people's pairs that the teachers find most alike. Writes
``results/agreement-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from default_models import lfw_crops
from unseen_people import CONFIGS, SOURCES, Names, Vectors, embed_with, read_people

from arcid import paths
from arcid.bench.common import hardware_slug, write_csv
from arcid.pipeline import Pipeline
from arcid.types import Image

TEACHERS = "esp_mbf+edgeface_xs+edgeface_xxs+face_reid_retail_0095"
FMR, LOOKALIKES = 1e-4, 1e-3


def photos(data: Path) -> dict[str, tuple[Image, Names]]:
    """(N,112,112,3) aligned crops of each set and whose they are."""
    files = sorted((data / "lfw-dev/images").glob("*/*.jpg"))
    crops, found, _ = lfw_crops(Pipeline.from_models(), files)
    names = np.array([file.parent.name for file in files])
    held = set((CONFIGS / "held_out_select.txt").read_text().splitlines()[1:])
    celeba = read_people(data, SOURCES["celeba"], held, yaw=False)
    return {"lfw-dev": (crops[found], names[found]), "celeba": (celeba.crops, celeba.names)}


def measured(own: Vectors, taught: Vectors, names: Names) -> dict[str, Any]:
    first, second = np.triu_indices(len(names), k=1)
    same = names[first] == names[second]
    cosines, said = ((v @ v.T)[first, second] for v in (own, taught))
    others, alike = cosines[~same], said[~same] >= np.quantile(said[~same], 1 - LOOKALIKES)
    threshold = np.quantile(others, 1 - FMR)
    numbers = {
        "correlation": np.corrcoef(cosines, said)[0, 1],
        "same_mean": cosines[same].mean(),
        "others_spread": others.std(),
        "threshold_1e-4": threshold,
        "tar_at_1e-4": (cosines[same] > threshold).mean(),
        "lookalikes": (others - said[~same])[alike].mean(),
    }
    counts = {"genuine_pairs": int(same.sum()), "impostor_pairs": int((~same).sum())}
    return {"photos": len(names), **counts, **{k: round(float(v), 4) for k, v in numbers.items()}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recognisers", default="arcid-face-s")
    parser.add_argument("--teachers", default=TEACHERS)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    sets = photos(paths.required_data_dir() / "data")
    taught = {name: embed_with(options.teachers, False)(crops) for name, (crops, _) in sets.items()}
    rows = []
    for recogniser in ["teachers", *options.recognisers.split(",")]:
        for name, (crops, names) in sets.items():
            own = taught[name] if recogniser == "teachers" else embed_with(recogniser, False)(crops)
            rows.append({"recogniser": Path(recogniser).name, "set": name}
                        | measured(own, taught[name], names))  # fmt: skip
            print(rows[-1], flush=True)
    results = Path(__file__).parent / "results"
    output = options.output or results / f"agreement-{hardware_slug()}.csv"
    write_csv(output, rows)
    print(f"written to {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
