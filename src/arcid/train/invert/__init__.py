"""Faces out of vectors: what somebody who has a network's weights makes of what it stored.

    initial = open_initial("arcid-face-s")
    people = read_people("crops/", initial.backbone.size, 20)
    targets = Targets.of_vectors(vectors, people.names)
    result = invert(initial.backbone, targets, Path("runs/inversion"))

No generator is trained and no photo is looked at: a picture is changed until the network's feature
of it is the stored one, while the statistics that its batch norms keep hold it near to what faces
are (Deng et al., ArcFace, TPAMI 2022, on the inverse problem). ``settings`` says how, ``targets``
of what, ``prior`` holds the statistics, ``batch`` is the optimisation, ``run`` its files.
"""

from __future__ import annotations

from arcid.train.invert.people import People, read_people
from arcid.train.invert.prior import NormPrior
from arcid.train.invert.run import Inverted, invert
from arcid.train.invert.settings import Settings
from arcid.train.invert.targets import Targets

__all__ = ["Inverted", "NormPrior", "People", "Settings", "Targets", "invert", "read_people"]
