"""Evaluation protocols: a list of what to compare and a set of embeddings in, a result out.

Each result has ``to_dict()`` for JSON (fractions 0–1, every rate with its interval and counts) and
keeps the scores and the names behind them, for plots and for looking at mistakes.
"""

from __future__ import annotations

from arcid.evaluate.protocols.all_pairs import AllPairs, Histogram, TopPairs, all_pairs
from arcid.evaluate.protocols.folder import FolderResult, evaluate_folder
from arcid.evaluate.protocols.gallery import GalleryResult, GallerySplit, evaluate_gallery, split
from arcid.evaluate.protocols.ijb import IjbResult, evaluate_ijb, pool_templates
from arcid.evaluate.protocols.masks import SyntheticMask
from arcid.evaluate.protocols.megaface import MegafaceResult, evaluate_megaface
from arcid.evaluate.protocols.pad import PadResult, evaluate_pad
from arcid.evaluate.protocols.pair_list import PairListResult, evaluate_pair_list
from arcid.evaluate.protocols.verification import Mistake, VerificationResult, verify

__all__ = [
    "AllPairs",
    "FolderResult",
    "GalleryResult",
    "GallerySplit",
    "Histogram",
    "IjbResult",
    "MegafaceResult",
    "Mistake",
    "PadResult",
    "PairListResult",
    "SyntheticMask",
    "TopPairs",
    "VerificationResult",
    "all_pairs",
    "evaluate_folder",
    "evaluate_gallery",
    "evaluate_ijb",
    "evaluate_megaface",
    "evaluate_pad",
    "evaluate_pair_list",
    "pool_templates",
    "split",
    "verify",
]
