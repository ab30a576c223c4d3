"""Pages of our own in one frame: its head, colours and measure stand once, in ``frame.html``."""

from __future__ import annotations

from pathlib import Path

PAGES = Path(__file__).parent / "pages"


def framed(name: str) -> str:
    """Markup of a page of ``pages/``, whose file holds what is its own of the head, then ``main``
    and what follows it."""
    frame = (PAGES / "frame.html").read_text("utf-8")
    head, start, rest = (PAGES / name).read_text("utf-8").partition("<main>")
    return frame.replace("<!--head-->", head.strip()).replace(
        "<!--main-->", f"{start}{rest.strip()}"
    )
