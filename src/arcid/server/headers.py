"""What every answer tells a browser: strict for all, loosened where a page needs more."""

from __future__ import annotations

import re
import secrets

from starlette.responses import HTMLResponse

FRAMES = "frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
#: Of every answer that says nothing else: it loads nothing, and no other site can show or read it.
DEFAULTS = {
    "Content-Security-Policy": f"default-src 'none'; {FRAMES}",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"  # NiceGUI writes one a page
_INLINE = re.compile(r"<(script|style)(?=[ >])")


def make_nonce() -> str:
    """Of one answer; inline scripts and styles that do not carry it are not run."""
    return secrets.token_urlsafe(16)


def page_policy(nonce: str = "", *, scripts: str = "", styles: str = "", media: str = "") -> str:
    """Content policy of a page whose files are all this service's; the rest is added to it."""
    own = f"'self' 'nonce-{nonce}'" if nonce else "'self'"
    policy = (
        f"default-src 'none'; script-src {own} {scripts}; style-src {own} {styles}; "
        f"img-src 'self' data: {media}; media-src 'self' {media}; font-src 'self'; "
        f"connect-src 'self'; worker-src 'self' {media}; form-action 'self'; {FRAMES}"
    )
    return policy.replace(" ;", ";")


def with_nonce(markup: str, nonce: str) -> str:
    """The nonce on every script and style; only for markup in which nothing is a client's."""
    return _INLINE.sub(rf'<\1 nonce="{nonce}"', markup)


def page(markup: str) -> HTMLResponse:
    """A page of our own markup, with the policy that runs its scripts and styles and no others."""
    nonce = make_nonce()
    return HTMLResponse(
        with_nonce(markup, nonce), headers={"Content-Security-Policy": page_policy(nonce)}
    )
