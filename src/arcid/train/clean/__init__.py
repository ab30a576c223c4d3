"""Which photos of an identity show somebody else? Ask a network with several centres for each.

Sub-centre purification (Deng et al., *Sub-center ArcFace*, ECCV 2020, sec. 3.4): a network trained
with K > 1 centres an identity gathers clean photos about one of them and wrong ones about others.
``judge`` is the rule, ``clean`` applies it to a training run and writes what it found.
"""

from __future__ import annotations

from arcid.train.clean.purify import clean
from arcid.train.clean.result import CleanResult
from arcid.train.clean.rule import Rule, Verdict, judge

__all__ = ["CleanResult", "Rule", "Verdict", "clean", "judge"]
