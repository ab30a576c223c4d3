"""How results draw themselves in a notebook: aligned crops beside words.

HTML without scripts or colours of its own, so that light and dark notebooks both show it. Every
text is escaped: names of people come from elsewhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from arcid.types import Image

SHOWN = 24  # faces drawn of one photo; the others are counted


def picture(pixels: Image, lines: Sequence[str] = ()) -> str:
    """(S,S,3) uint8 RGB and what stands below it."""
    from PIL import Image as Pil

    buffer = io.BytesIO()
    Pil.fromarray(pixels).save(buffer, "JPEG", quality=90)
    source = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    below = "<br>".join(map(escape, lines))
    return (
        f'<figure style="margin:0;max-width:180px"><img src="{source}" alt="aligned face" '
        'width="112" height="112" style="border-radius:4px">'
        f'<figcaption style="font-size:smaller">{below}</figcaption></figure>'
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells of text."""
    lines = [_row("th", heads), *(_row("td", row) for row in rows)]
    return f'<table style="color:inherit">{"".join(lines)}</table>'


def block(heading: str, parts: Sequence[str], note: str = "") -> str:
    """A heading, parts side by side, and a sentence below them."""
    beside = "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start;margin:6px 0"
    above = f"<strong>{escape(heading)}</strong>" if heading else ""
    below = f"<div>{escape(note)}</div>" if note else ""
    return (
        f'<div style="color:inherit">{above}<div style="{beside}">{"".join(parts)}</div>{below}'
        "</div>"
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
