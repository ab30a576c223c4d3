"""The page at ``/``, the retention schedule and the API reference, without anything from another
host."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from arcid import paths
from arcid.apps.watchlists import Watchlists
from arcid.gallery import Policy
from arcid.protection import Policies
from arcid.server.deps import Running
from arcid.server.framed import framed
from arcid.server.headers import page
from arcid.signing import Signer

ASSETS = "/docs/assets"
router = APIRouter(include_in_schema=False)


def assets_dir() -> str:
    """Swagger UI's files, as the package ``fastapi-offline`` ships them."""
    return str(files("fastapi_offline") / "static")


@router.get("/")
def landing() -> HTMLResponse:
    """What this is and where to go."""
    return page(framed("landing.html"))


@router.get("/docs")
def reference() -> HTMLResponse:
    """Every route, to read and to try."""
    shown = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="arcid API",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )
    return page(bytes(shown.body).decode())


@router.get("/privacy")
def schedule(running: Running) -> HTMLResponse:
    """What is kept of whom and how long, of the collections whose policies are published."""
    every = Policies(running.gallery).every()
    told = {name: policy for name, policy in every.items() if policy.published}
    alerts: dict[str, int] = {}  # by collection, the days that its lists keep them at most
    for one in Watchlists(running.gallery).find():
        alerts[one.collection] = max(alerts.get(one.collection, 0), one.terms.keep_days)
    content = "".join(_told(name, policy, alerts.get(name)) for name, policy in told.items())
    markup = framed("privacy.html")
    shown = page(markup.replace("<!--content-->", content or "<p>Nothing is published here.</p>"))
    shown.status_code = 200 if told else 404
    return shown


@router.get("/privacy/key")
def signing_key() -> dict[str, str]:
    """What receipts of erasures and seals of the audit are verified with."""
    signer = Signer(paths.home_dir())
    return {"public_key": signer.public.hex(), "fingerprint": signer.fingerprint}


def _told(name: str, policy: Policy, alert_days: int | None) -> str:
    rows = "".join(
        f"<dt>{escape(what)}</dt><dd>{escape(said)}</dd>"
        for what, said in _schedule(policy, alert_days)
    )
    return f"<section><h2>{escape(name)}</h2><dl>{rows}</dl></section>"


def _schedule(policy: Policy, alert_days: int | None) -> list[tuple[str, str]]:
    ends = [
        f"{days:g} days after {since}"
        for days, since in (
            (policy.unseen_days, "they were seen or enrolled last"),
            (policy.keep_days, "they were added"),
        )
        if days is not None
    ]
    seen = f"{policy.event_faces_days:g} days"
    refused = "as long as the person"
    if policy.refused_days is not None:
        refused = f"{policy.refused_days:g} days"
    led = {"erase": "they are erased at once", "review": "somebody decides about erasing them"}
    raised = [] if alert_days is None else [("Faces in alerts", f"erased after {alert_days} days")]
    return [
        ("What it is for", policy.purpose or "not stated"),
        ("Legal basis", policy.legal_basis or "not stated"),
        ("Who is enrolled", "only who agreed" if policy.consent else "agreement is not demanded"),
        ("When somebody takes that back", led[policy.on_withdrawal]),
        ("People are erased", ", or ".join(ends) or "when somebody erases them"),
        ("Faces of people who are not enrolled", f"erased after {policy.strangers_hours:g} hours"),
        ("Faces of enrolled people behind events", f"erased after {seen}"),
        ("Faces that somebody still has to look at", f"erased after {seen}"),
        ("Faces said not to be a person, as numbers", refused),
        *raised,
    ]
