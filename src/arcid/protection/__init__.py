"""What keeps people's templates safe: so far the keys that programs show to the service."""

from __future__ import annotations

from arcid.protection.keys import VERBS, ApiKey, Keys, Verb

__all__ = ["VERBS", "ApiKey", "Keys", "Verb"]
