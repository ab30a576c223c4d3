"""Sign-in, set-up and refusal: plain pages that need neither NiceGUI nor scripts."""

from __future__ import annotations

from html import escape
from string import Template
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.auth.account import MAX_NAME, Account, Factors
from arcid.server.console.auth.passkeys import Site
from arcid.server.console.auth.passwords import MAX_PASSWORD, MIN_PASSWORD
from arcid.server.console.auth.second import Draft, qr_code
from arcid.server.console.ui.icons import LOGO
from arcid.server.errors import HttpError

MAX_FORM_BYTES, MAX_FIELDS = 16 * 1024, 8
OF_ADDRESSES = "/:?#[]@!$&'()*+,;=%~"  # RFC 3986: reserved, and what is written in % already
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title · arcid</title>
<link rel="icon" href="$root/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="$root/static/console.css">
<script src="$root/static/console.js"></script>
<script src="$root/static/passkey.js" defer></script>
</head>
<body class="door">
<main class="door-card">
<div class="door-logo">$logo<span>arcid</span></div>
<h1>$title</h1>
<p class="soft">$text</p>
$body
</main>
</body>
</html>
""")


def sign_in(
    after: str,
    name: str = "",
    problem: str | None = None,
    status: int = 200,
    *,
    passkeys: bool = False,
    provider: str = "",
) -> Response:
    """The form, again with what went wrong; ``passkeys``: whether one may be shown instead;
    ``provider``: what one is called that may be gone to."""
    body = _form(
        _on(f"{ROOT}/sign-in", after),
        S.SIGN_IN,
        problem,
        _field("name", S.ACCOUNT_NAME, "text", "username", name, first=not name),
        _field("password", S.PASSWORD, "password", "current-password", first=bool(name)),
    )
    body += _passkey(after, S.PASSKEY_SIGN_IN) if passkeys else ""
    if provider:
        there, words = escape(_on(f"{ROOT}/sign-in/oidc", after)), S.OIDC_SIGN_IN
        words = escape(words.format(name=provider))
        body += f'<p><a class="button wide" href="{there}">{words}</a></p>'
    return _page(S.SIGN_IN, S.SIGN_IN_TEXT, body, status)


def second(
    after: str, factors: Factors, site: Site | None, problem: str | None = None, status: int = 200
) -> Response:
    """Asks for a code or a passkey, after the password was right."""
    action = _on(f"{ROOT}/sign-in/second", after)
    code = _field("code", S.SECOND_CODE, "text", "one-time-code", first=True, hint=S.SECOND_HINT)
    passkey = _passkey(after, S.PASSKEY_SHOW) if site and factors.passkeys else ""
    body = _form(action, S.SIGN_IN, problem, code) + passkey + _sign_out(S.SIGN_IN_AS_OTHER)
    return _page(S.SECOND, S.SECOND_TEXT, body, status)


def set_up_app(
    draft: Draft,
    after: str,
    *,
    waits: bool,
    site: Site | None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    """The QR code of an authenticator app, and a field for its first code."""
    picture = f'<img class="qr" src="{escape(qr_code(draft.uri))}" alt="{escape(S.APP_QR)}">'
    secret = " ".join(draft.secret[at : at + 4] for at in range(0, len(draft.secret), 4))
    body = _form(
        _on(f"{ROOT}/two-step", after),
        S.APP_ADD,
        problem,
        f'<input type="hidden" name="draft" value="{escape(draft.sealed)}">',
        picture,
        f'<p class="soft small">{escape(S.APP_SECRET)}</p>'
        f'<code class="secret">{escape(secret)}</code>',
        "" if waits else _field("password", S.PASSWORD, "password", "current-password"),
        _field("code", S.APP_CODE, "text", "one-time-code", first=waits),
    )
    leave = _sign_out(S.SIGN_IN_AS_OTHER) if waits else _back("/sessions")
    if site is not None and waits:
        instead = escape(_on(f"{ROOT}/two-step/passkey", after))
        leave = f'<p><a class="button" href="{instead}">{escape(S.PASSKEY_INSTEAD)}</a></p>{leave}'
    return _page(S.APP_ADD, S.APP_NEEDED if waits else S.APP_TEXT, body + leave, status)


def add_passkey(
    after: str, *, waits: bool, name: str = "", problem: str | None = None, status: int = 200
) -> Response:
    """Asks the browser for a new passkey; ``passkey.js`` puts what it answers into the form."""
    body = _form(
        _on(f"{ROOT}/two-step/passkey", after),
        S.PASSKEY_ADD,
        problem,
        _field("label", S.PASSKEY_NAME, "text", "off", name, first=True, hint=S.PASSKEY_NAME_HINT),
        "" if waits else _field("password", S.PASSWORD, "password", "current-password"),
        passkey="create",
        ask="/two-step/passkey/question",
    )
    leave = _sign_out(S.SIGN_IN_AS_OTHER) if waits else _back("/sessions")
    return _page(S.PASSKEY_ADD, S.PASSKEY_TEXT, body + leave, status)


def recovery_codes(codes: list[str], after: str) -> Response:
    """Shown this once."""
    shown = "".join(f"<li><code>{escape(code)}</code></li>" for code in codes)
    body = (
        f'<ol class="codes">{shown}</ol><p><a class="button primary wide" '
        f'href="{escape(ROOT + after)}">{escape(S.CODES_KEPT)}</a></p>'
    )
    return _page(S.CODES, S.CODES_TEXT, body, 200)


def confirm(
    path: str, title: str, text: str, problem: str | None = None, status: int = 200
) -> Response:
    """Asks for the password before how somebody signs in is changed."""
    password = _field("password", S.PASSWORD, "password", "current-password", first=True)
    return _page(
        title, text, _form(ROOT + path, title, problem, password) + _back("/sessions"), status
    )


def set_up(
    code: str = "", name: str = "", problem: str | None = None, status: int = 200
) -> Response:
    """The first account; ``code`` is what was typed. A link's is filled in by ``console.js``."""
    body = _form(
        f"{ROOT}/set-up",
        S.SET_UP_BUTTON,
        problem,
        _field("code", S.SET_UP_CODE, "text", "off", code, hint=S.SET_UP_CODE_HINT),
        _field("name", S.ACCOUNT_NAME, "text", "username", name, first=True),
        _field(
            "password",
            S.PASSWORD,
            "password",
            "new-password",
            hint=S.PASSWORD_HINT.format(low=MIN_PASSWORD),
            extra=f'minlength="{MIN_PASSWORD}"',
        ),
        _field("repeat", S.PASSWORD_REPEAT, "password", "new-password"),
    )
    return _page(S.SET_UP, S.SET_UP_TEXT, body, status)


def lost() -> Response:
    """Where set-up was done once, and only the command line may make an account again."""
    return _page(S.SET_UP, S.SET_UP_LOST, "", 403)


def on_the_way(address: str) -> Response:
    """Goes on to a path by itself: what this page asks for, the browser sends our cookie with."""
    body = f'<p><a class="button" href="{escape(address)}">{escape(S.GO_ON)}</a></p>'
    page = _page(S.PRODUCT, S.ON_THE_WAY, body, 200)
    page.headers["Refresh"] = f"0; url={quote(address, safe=OF_ADDRESSES)}"
    return page


def refused(account: Account) -> Response:
    """For a page the role does not reach."""
    body = _back("/") + _sign_out(S.SIGN_IN_AS_OTHER)
    text = S.NOT_ALLOWED_TEXT.format(name=account.name, role=S.ROLE_NAMES[account.role])
    return _page(S.NOT_ALLOWED_TITLE, text, body, 403)


def missing() -> Response:
    """For an address behind which nothing of the console is."""
    body = _back("/")
    return _page(S.MISSING, S.MISSING_TEXT, body, 404)


def local_path(path: str | None) -> str:
    """A path inside the console to go on to; anything else becomes the start page."""
    usable = path is not None and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if usable and path is not None and path.isprintable() else "/"


async def fields(request: Request) -> dict[str, str]:
    """An URL-encoded form, bounded."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind != "application/x-www-form-urlencoded":
        raise HttpError(415, "unsupported_media_type", "send an URL-encoded form")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise HttpError(413, "body_too_large", "the form is too long")
    text = body.decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise HttpError(413, "body_too_large", "the form has too many fields") from None


def _on(action: str, after: str) -> str:
    return action + ("" if after == "/" else f"?next={quote(after)}")


def _back(path: str) -> str:
    return f'<p><a class="button" href="{ROOT}{path}">{escape(S.BACK)}</a></p>'


def _sign_out(words: str) -> str:
    return (
        f'<form method="post" action="{ROOT}/sign-out"><button class="button quiet">'
        f"{escape(words)}</button></form>"
    )


def _page(title: str, text: str, body: str, status: int) -> Response:
    page = _PAGE.substitute(root=ROOT, title=escape(title), text=escape(text), body=body, logo=LOGO)
    return HTMLResponse(page, status)


def _form(
    action: str,
    button: str,
    problem: str | None,
    *parts: str,
    passkey: str = "",
    ask: str = "",
    kind: str = "primary",
) -> str:
    """``passkey``: get or create, and ``ask``: from where ``passkey.js`` has the question."""
    alert = f'<p class="door-problem" role="alert">{escape(problem)}</p>' if problem else ""
    extra = answer = ""
    if passkey:
        words = (
            f'data-failed="{escape(S.PASSKEY_FAILED)}" data-missing="{escape(S.PASSKEY_MISSING)}"'
        )
        extra = f'data-passkey="{passkey}" data-ask="{ROOT}{ask}" {words}'
        answer = '<input type="hidden" name="answer">'
    return (
        f'<form method="post" action="{escape(action)}" class="door-form" {extra}>{alert}'
        f"{''.join(parts)}{answer}"
        f'<button class="button {kind} wide" type="submit">{escape(button)}</button></form>'
    )


def _passkey(after: str, button: str) -> str:
    action = _on(f"{ROOT}/sign-in/passkey", after)
    return _form(action, button, None, passkey="get", ask="/sign-in/passkey", kind="plain")


def _field(
    name: str,
    label: str,
    kind: str,
    autocomplete: str,
    value: str = "",
    *,
    hint: str = "",
    extra: str = "",
    first: bool = False,
) -> str:
    longest = MAX_NAME if name in {"name", "label"} else MAX_PASSWORD
    described = f'aria-describedby="{name}-hint"' if hint else ""
    return (
        f'<label class="field"><span>{escape(label)}</span>'
        f'<input name="{name}" type="{kind}" autocomplete="{autocomplete}" required '
        f'value="{escape(value)}" maxlength="{longest}" {described} {extra} '
        f"{'autofocus' if first else ''}></label>"
        + (f'<p class="hint" id="{name}-hint">{escape(hint)}</p>' if hint else "")
    )
