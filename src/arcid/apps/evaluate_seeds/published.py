"""What others published of the sets."""

from __future__ import annotations

from dataclasses import dataclass

PAPER = "ArcFace paper, R100 on MS1MV3"
PAGE = "ArcFace's page at HyperAI, R100 on MS1MV2"
KERAS = "Keras ArcFace (serengil)"
LUXONIS = "Luxonis card, R100"
CARD = "industrial card, R50 on 3,000 people"


@dataclass(frozen=True, slots=True)
class Published:
    """What somebody says of a set; ``value`` a fraction."""

    value: float
    whose: str
    note: str = ""


NOT_THE_SAME = "other people and photos"
IN_SAMPLE = "276 pairs; threshold found on them, as ours"
#: (set, metric) → what was published of it.
PUBLISHED: dict[tuple[str, str], tuple[Published, ...]] = {
    ("lfw", "accuracy"): (
        Published(0.9983, PAGE),
        Published(0.9983, LUXONIS),
        Published(0.9940, KERAS),
    ),
    ("deepface-pairs", "precision"): (Published(0.98, KERAS, IN_SAMPLE),),
    ("deepface-pairs", "recall"): (Published(0.89, KERAS, IN_SAMPLE),),
    ("deepface-pairs", "accuracy"): (Published(0.97, KERAS, IN_SAMPLE),),
    ("cfp-fp", "accuracy"): (Published(0.9879, PAPER),),
    ("agedb", "accuracy"): (Published(0.9823, PAPER),),
    ("calfw", "accuracy"): (Published(0.9602, PAPER),),
    ("cplfw", "accuracy"): (Published(0.9321, PAPER),),
    ("ytf", "accuracy"): (Published(0.9802, PAGE), Published(0.9802, LUXONIS)),
    ("casia-masks", "accuracy"): (Published(0.8795, PAGE),),
    ("celeba-masks", "accuracy"): (Published(0.9178, PAGE),),
    ("ijbc", "TAR at FMR 0.0001"): (Published(0.9683, "ArcFace paper, R100 on MS1MV3"),),
    ("ijbc", "TAR at FMR 1e-05"): (Published(0.9607, "HyperAI, R100 on IBUG-500K"),),
    ("megaface", "rank 1 among 1,000,000"): (Published(0.9835, PAGE, "refined lists"),),
    ("megaface", "TAR at FMR 1e-06"): (Published(0.9848, PAGE, "refined lists"),),
    ("trillion-pairs", "identification"): (Published(0.5748, "HyperAI, Arc-Softmax"),),
    ("trillion-pairs", "verification"): (Published(0.5745, "HyperAI, Arc-Softmax"),),
    ("gallery", "top-1"): (Published(0.92, CARD, NOT_THE_SAME),),
    ("gallery", "top-3"): (Published(0.96, CARD, NOT_THE_SAME),),
    ("gallery", "top-5"): (Published(0.968, CARD, NOT_THE_SAME),),
}
