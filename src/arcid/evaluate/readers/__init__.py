"""Readers of the public file layouts: lists and folders in, photos and pairs out.

Every reader raises ``DatasetInvalid`` (an ``InputError``) that names the file and the line.
"""

from __future__ import annotations

from arcid.evaluate.readers._pairs import PairList
from arcid.evaluate.readers.cfp import read_cfp
from arcid.evaluate.readers.folder import PeopleFolder, read_people
from arcid.evaluate.readers.ijb import IjbMeta, read_ijb
from arcid.evaluate.readers.ijbs import read_ijbs
from arcid.evaluate.readers.insightface_bin import read_bin
from arcid.evaluate.readers.lfw import read_labelled_list, read_lfw, read_two_line_list
from arcid.evaluate.readers.megaface import MegafaceLists, read_matio, read_megaface
from arcid.evaluate.readers.pad import PadList, read_pad
from arcid.evaluate.readers.pairs_csv import read_pairs_csv
from arcid.evaluate.readers.rfw import read_rfw
from arcid.evaluate.readers.rmfrd import read_rmfrd
from arcid.evaluate.readers.trillion_pairs import TrillionPairs, read_trillion_pairs
from arcid.evaluate.readers.ytf import read_ytf

__all__ = [
    "IjbMeta",
    "MegafaceLists",
    "PadList",
    "PairList",
    "PeopleFolder",
    "TrillionPairs",
    "read_bin",
    "read_cfp",
    "read_ijb",
    "read_ijbs",
    "read_labelled_list",
    "read_lfw",
    "read_matio",
    "read_megaface",
    "read_pad",
    "read_pairs_csv",
    "read_people",
    "read_rfw",
    "read_rmfrd",
    "read_trillion_pairs",
    "read_two_line_list",
    "read_ytf",
]
