"""Error rates of scores: pure functions over arrays, NumPy only.

Conventions, everywhere in ``arcid.evaluate``:

* a score is a similarity, higher is closer; a comparison is accepted where ``score >= threshold``;
* a failed photo scores ``FAILED`` (−inf): its pairs are non-matches at every threshold;
* FMR(t) is the share of impostor (non-mated) scores at or above t, FNMR(t) the share of genuine
  (mated) scores below t, TAR = 1 − FNMR;
* thresholds for a target rate are conservative: the rate at the threshold never exceeds the target,
  and equal scores are accepted or rejected together.

Definitions follow ISO/IEC 19795-1 (verification, identification) and ISO/IEC 30107-3 (attacks).
"""

from __future__ import annotations

from arcid.evaluate.metrics.accuracy import (
    ArcfaceTorchResult,
    FoldAccuracy,
    Stump,
    arcface_torch_kfold,
    best_accuracy,
    contiguous_folds,
    information_gain_stump,
    kfold_accuracy,
)
from arcid.evaluate.metrics.attacks import MIN_ATTACKS, AttackRates, attack_rates, require_species
from arcid.evaluate.metrics.discard import DiscardCurve, error_versus_discard
from arcid.evaluate.metrics.identification import (
    Searches,
    cmc,
    dir_at_fpir,
    fnir,
    fpir,
    search,
    threshold_at_fpir,
)
from arcid.evaluate.metrics.rates import (
    FAILED,
    LOWEST,
    RULE_OF_3,
    RULE_OF_30,
    Array,
    Convention,
    IndexArray,
    Mask,
    Rate,
    Support,
    binomial_rate,
    require_support,
    split_scores,
    support,
    wilson,
)
from arcid.evaluate.metrics.verification import (
    Confusion,
    Roc,
    auc,
    confusion,
    d_prime,
    eer,
    eer_from_roc,
    fmr,
    fnmr,
    roc,
    tar_at_fmr,
    tar_from_roc,
    threshold_at_fmr,
)

__all__ = [
    "FAILED",
    "LOWEST",
    "MIN_ATTACKS",
    "RULE_OF_3",
    "RULE_OF_30",
    "ArcfaceTorchResult",
    "Array",
    "AttackRates",
    "Confusion",
    "Convention",
    "DiscardCurve",
    "FoldAccuracy",
    "IndexArray",
    "Mask",
    "Rate",
    "Roc",
    "Searches",
    "Stump",
    "Support",
    "arcface_torch_kfold",
    "attack_rates",
    "auc",
    "best_accuracy",
    "binomial_rate",
    "cmc",
    "confusion",
    "contiguous_folds",
    "d_prime",
    "dir_at_fpir",
    "eer",
    "eer_from_roc",
    "error_versus_discard",
    "fmr",
    "fnir",
    "fnmr",
    "fpir",
    "information_gain_stump",
    "kfold_accuracy",
    "require_species",
    "require_support",
    "roc",
    "search",
    "split_scores",
    "support",
    "tar_at_fmr",
    "tar_from_roc",
    "threshold_at_fmr",
    "threshold_at_fpir",
    "wilson",
]
