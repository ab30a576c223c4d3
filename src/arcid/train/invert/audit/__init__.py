"""What would a thief see? Pictures made of stolen vectors, judged as the deployment judges faces.

``recognisers`` are what the pictures are shown to, ``measure`` counts at each one's calibrated
thresholds, ``looks`` asks detector and liveness, ``run`` does it all, ``report`` tells it.
"""

from __future__ import annotations

from arcid.train.invert.audit.report import write_report
from arcid.train.invert.audit.run import Audited, Subjects, audit

__all__ = ["Audited", "Subjects", "audit", "write_report"]
