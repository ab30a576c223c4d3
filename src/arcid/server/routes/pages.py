"""The page at ``/`` and the API reference, without anything from another host."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from arcid.server.headers import page

PAGES = Path(__file__).parent.parent / "pages"
ASSETS = "/docs/assets"
router = APIRouter(include_in_schema=False)


def assets_dir() -> str:
    """Swagger UI's files, as the package ``fastapi-offline`` ships them."""
    return str(files("fastapi_offline") / "static")


@router.get("/")
def landing() -> HTMLResponse:
    """What this is and where to go."""
    return page((PAGES / "landing.html").read_text("utf-8"))


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
