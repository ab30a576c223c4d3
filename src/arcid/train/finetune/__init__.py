"""A ready recogniser → the same one, fitted to somebody's own people, and whether it is better.

    plan = make_plan(Path("crops"), "arcid-face-s")
    result = train(plan.config)
    done = finish(plan)
    print(*done.verdict.sentences, sep="\n")

``crops``    whether a folder holds aligned crops, and what to run where it does not
``people``   who is learnt from, who stops the run, who judges it
``plan``     the recipe, and the network it begins from
``outcome``  the best state as a bundle with a calibration, measured beside the original
``verdict``  better, worse or not to be told apart
"""

from __future__ import annotations

from arcid.train.finetune.outcome import Outcome, finish
from arcid.train.finetune.plan import Plan, make_plan

__all__ = ["Outcome", "Plan", "finish", "make_plan"]
