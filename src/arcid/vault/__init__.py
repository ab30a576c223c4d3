"""Keys, and what is sealed with them. Start at ``vault.Vault``."""

from __future__ import annotations

from arcid.vault import keystore, roots
from arcid.vault.keystore import KeyStore
from arcid.vault.roots import Root
from arcid.vault.sealing import OVERHEAD, is_sealed, place
from arcid.vault.vault import Vault

__all__ = ["OVERHEAD", "KeyStore", "Root", "Vault", "is_sealed", "keystore", "place", "roots"]
