"""A root key in a token: it wraps and unwraps there, and never leaves it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from arcid.errors import ConfigError, KeyUnavailable, SealBroken
from arcid.extras import require

_NONCE = 12
_TAG_BITS = 128


class Token:
    """``pkcs11:token=NAME;object=LABEL?module-path=FILE&pin-source=FILE`` (RFC 7512).

    ``object`` is an AES-256 key with the rights to encrypt and decrypt. The PIN is the text of the
    file ``pin-source``.
    """

    def __init__(self, uri: str) -> None:
        require("a root key in a token", "pkcs11")
        path, _, query = uri.removeprefix("pkcs11:").partition("?")
        self._at = {k: unquote(v) for k, _, v in (p.partition("=") for p in path.split(";"))}
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        if not {"token", "object"} <= set(self._at) or "module-path" not in asked:
            raise ConfigError(
                "a root key in a token is named by "
                "pkcs11:token=NAME;object=LABEL?module-path=FILE&pin-source=FILE"
            )
        self.described = f"token {self._at['token']}"
        self._module = asked["module-path"]
        self._pin = asked.get("pin-source")

    def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._do("encrypt", key, nonce, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        return self._do("decrypt", wrapped[_NONCE:], wrapped[:_NONCE], context)

    def _do(self, verb: str, data: bytes, nonce: bytes, context: bytes) -> bytes:
        """A session of its own each time: root keys are used seldom, tokens are pulled out."""
        import pkcs11

        refused = (pkcs11.exceptions.EncryptedDataInvalid, pkcs11.exceptions.EncryptedDataLenRange)
        try:
            pin = None if self._pin is None else Path(self._pin).read_text("utf-8").strip()
            token = pkcs11.lib(self._module).get_token(token_label=self._at["token"])
            with token.open(user_pin=pin) as session:
                key: Any = session.get_key(
                    object_class=pkcs11.ObjectClass.SECRET_KEY, label=self._at["object"]
                )
                how = {
                    "mechanism": pkcs11.Mechanism.AES_GCM,
                    "mechanism_param": pkcs11.GCMParams(nonce, context, _TAG_BITS),
                }
                made = key.encrypt(data, **how) if verb == "encrypt" else key.decrypt(data, **how)
                return bytes(made)
        except refused:
            raise SealBroken("this key was sealed with another one, or changed") from None
        except (pkcs11.exceptions.PKCS11Error, OSError, RuntimeError) as error:
            raise KeyUnavailable(
                f"the {self.described} did not {verb} a key ({type(error).__name__}); nothing was "
                "changed. Check that it is there, the label of the key, and the PIN"
            ) from None
