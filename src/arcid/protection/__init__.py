"""What keeps people's templates safe: the keys that programs show to the service, what each
collection is for and for how long, and who agreed."""

from __future__ import annotations

from arcid.protection.consents import Consents, Withdrawal
from arcid.protection.disclosures import Disclosure, Disclosures
from arcid.protection.keys import VERBS, ApiKey, Keys, Verb
from arcid.protection.policies import VIEWERS, Policies, Standing
from arcid.protection.receipts import Receipt, Receipts
from arcid.protection.retention import Counts, Retention, Run
from arcid.protection.subjects import exported

__all__ = [
    "VERBS",
    "VIEWERS",
    "ApiKey",
    "Consents",
    "Counts",
    "Disclosure",
    "Disclosures",
    "Keys",
    "Policies",
    "Receipt",
    "Receipts",
    "Retention",
    "Run",
    "Standing",
    "Verb",
    "Withdrawal",
    "exported",
]
