"""A report as one HTML page that needs nothing else: plots inline, pictures as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape

from arcid.errors import in_words
from arcid.evaluate.report.document import (
    NOTHING,
    Card,
    Document,
    Figure,
    Gallery,
    PicturePair,
    Pictures,
    Table,
)

FAILED_SHOWN = 200

STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--sheet:#fff;--ink:#16202b;--soft:#4d5966;
--line:#d9dfe6;--grid:#e8ecf0;--genuine:#0b6e99;--impostor:#c2410c;--third:#6d28d9;
--fourth:#15803d;--neutral:#16202b;--mark:#39434e;--warn:#fff4d6;--warnink:#6b4700}
@media(prefers-color-scheme:dark){:root{--page:#10151b;--sheet:#19212a;--ink:#e9eef3;
--soft:#a9b6c3;--line:#33404d;--grid:#28333e;--genuine:#4cc2f0;--impostor:#ff9457;
--third:#b79bff;--fourth:#6fdc97;--neutral:#e9eef3;--mark:#c3ced9;--warn:#3a2f12;--warnink:#ffe0a0}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:40px 0 12px}
h3{font-size:1rem;margin:0 0 8px}
p{margin:0 0 12px;max-width:72ch}
.lede{font-size:1.08rem;color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:12px;margin:22px 0}
.card{background:var(--sheet);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.card dt{color:var(--soft);font-size:.9rem}
.card dd{margin:0}
.card .value{font-size:1.75rem;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}
.card .detail{color:var(--soft);font-size:.84rem}
.warning{background:var(--warn);color:var(--warnink);border-radius:8px;padding:10px 14px;
margin:8px 0;max-width:none}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:16px}
figure{margin:0;min-width:0;background:var(--sheet);border:1px solid var(--line);border-radius:10px;
padding:16px}
figure svg{display:block;width:100%;height:auto;overflow:visible}
figcaption{color:var(--soft);font-size:.88rem;margin-top:8px}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
svg text.name{fill:var(--ink)}
svg text.halo{fill:var(--ink);paint-order:stroke;stroke:var(--sheet);stroke-width:4px;
stroke-linejoin:round;font-size:11px}
.grid{stroke:var(--grid);fill:none}.axis{stroke:var(--soft);fill:none}
.guide{stroke:var(--line);fill:none;stroke-dasharray:2 4}
.mark{stroke:var(--mark);fill:none;stroke-dasharray:5 4}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.line.dash{stroke-dasharray:5 4}
.area{fill-opacity:.3}.band{fill-opacity:.16}.swatch{fill-opacity:.45}
.line.genuine{stroke:var(--genuine)}.line.impostor{stroke:var(--impostor)}
.line.third{stroke:var(--third)}.line.fourth{stroke:var(--fourth)}.line.neutral{stroke:var(--neutral)}
.area.genuine,.band.genuine,.dot.genuine,.swatch.genuine{fill:var(--genuine)}
.area.impostor,.band.impostor,.dot.impostor,.swatch.impostor{fill:var(--impostor)}
.band.third,.dot.third,.swatch.third{fill:var(--third)}
.band.fourth,.dot.fourth,.swatch.fourth{fill:var(--fourth)}
.dot.neutral,.swatch.neutral{fill:var(--neutral)}
details{margin-top:8px}
summary{cursor:pointer;color:var(--soft);font-size:.88rem}
.scroll{overflow-x:auto;background:var(--sheet);border:1px solid var(--line);border-radius:10px}
details .scroll{margin-top:8px}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:7px 12px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
th{color:var(--soft);font-weight:600}
th:first-child,td:first-child{text-align:left}
tr:last-child td{border-bottom:0}
td.words{text-align:left;white-space:normal;min-width:16em}
.note{color:var(--soft);font-size:.88rem;margin-top:8px}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,244px),1fr));gap:12px}
.pair{margin:0;padding:8px}
.pair div{display:grid;grid-template-columns:1fr 1fr;gap:4px}
.pair img,.pair .absent{width:100%;aspect-ratio:1;border-radius:6px;display:block;object-fit:cover;
background:var(--grid)}
.pair .absent{display:grid;place-items:center;color:var(--soft);font-size:.8rem}
.pair figcaption{overflow-wrap:anywhere;font-size:.8rem;line-height:1.35}
.facts td{white-space:normal;text-align:left;overflow-wrap:anywhere}
.facts td:first-child{white-space:nowrap;color:var(--soft)}
:focus-visible{outline:2px solid var(--genuine);outline-offset:2px}
@media(max-width:480px){main{padding:18px 14px 40px}h1{font-size:1.5rem}figure{padding:10px 8px}
.cards{grid-template-columns:1fr 1fr;gap:8px}.card{padding:10px 12px}.card .value{font-size:1.35rem}
figure svg text{font-size:13.5px}svg text.halo{font-size:12.5px}}
@media print{body{background:#fff}figure,.card{break-inside:avoid}}
"""


def page(document: Document, pictures: Pictures | None = None) -> str:
    """The whole page; ``pictures`` None leaves all photos out."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="robots" content="noindex">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">",
        f"<title>{escape(document.title)}</title><style>{STYLE}</style></head><body><main>",
        f"<h1>{escape(document.title)}</h1>",
        f'<p class="lede">{escape(document.lede)}</p>',
        _cards(document.cards),
        *(f'<p class="warning" role="note">{escape(w)}</p>' for w in document.warnings),
    ]
    if document.figures:
        figures = "".join(_figure(f) for f in document.figures)
        parts.append(f'<h2>At a glance</h2><div class="figures">{figures}</div>')
    for table in document.tables:
        parts.append(f"<h2>{escape(table.title)}</h2>{_table(table)}")
    if pictures is not None:
        parts += [_gallery(g, pictures) for g in document.galleries if g.pairs]
    if document.failed:
        parts.append(_failed(document.failed, document.failed_by_reason))
    if document.facts:
        parts.append(_facts(document))
    parts.append("</main></body></html>\n")
    return "\n".join(part for part in parts if part)


def _cards(cards: Iterable[Card]) -> str:
    inner = "".join(
        f'<div class="card"><dt>{escape(c.label)}</dt><dd class="value">{escape(c.value)}</dd>'
        f'<dd class="detail">{escape(c.detail)}</dd></div>'
        for c in cards
    )
    return f'<dl class="cards">{inner}</dl>' if inner else ""


def _figure(figure: Figure) -> str:
    table = ""
    if figure.table is not None and figure.table.rows:
        table = f"<details><summary>As a table</summary>{_table(figure.table)}</details>"
    return (
        f"<figure><h3>{escape(figure.title)}</h3>{figure.svg}"
        f"<figcaption>{escape(figure.caption)}</figcaption>{table}</figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    if not table.rows:
        return f"<p>{NOTHING}</p>{note}"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"
    )


def _gallery(gallery: Gallery, pictures: Pictures) -> str:
    inner = "".join(_pair(pair, pictures) for pair in gallery.pairs)
    return (
        f"<h2>{escape(gallery.title)}</h2><p>{escape(gallery.note)}</p>"
        f'<div class="pairs">{inner}</div>'
    )


def _pair(pair: PicturePair, pictures: Pictures) -> str:
    images = "".join(_image(name, pictures) for name in (pair.first, pair.second))
    return (
        f'<figure class="pair"><div>{images}</div>'
        f"<figcaption>{escape(pair.caption)}</figcaption></figure>"
    )


def _image(name: str, pictures: Pictures) -> str:
    data = pictures(name)
    if data is None:
        return '<span class="absent">no picture</span>'
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    encoded = base64.b64encode(data).decode("ascii")
    return f'<img alt="{escape(name)}" src="data:image/{kind};base64,{encoded}">'


def _failed(failed: Iterable[tuple[str, str]], reasons: Mapping[str, int]) -> str:
    listed = list(failed)
    summary = f"<p>{escape(in_words(reasons))}.</p>" if reasons else ""
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="words">{escape(why)}</td></tr>'
        for name, why in listed[:FAILED_SHOWN]
    )
    more = len(listed) - FAILED_SHOWN
    note = f'<p class="note">{more:,} more are in report.json.</p>' if more > 0 else ""
    return (
        "<h2>Photos that failed</h2><p>They stay in the count: every pair or search with one of "
        f'them is a miss.</p>{summary}<div class="scroll" tabindex="0" role="region" '
        'aria-label="Photos that failed"><table><thead><tr><th scope="col">photo</th>'
        f'<th scope="col">why</th></tr></thead><tbody>{rows}</tbody></table></div>{note}'
    )


def _facts(document: Document) -> str:
    rows = "".join(
        f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in document.facts.items()
    )
    return (
        '<h2>How this was measured</h2><div class="scroll"><table class="facts"><tbody>'
        f"{rows}</tbody></table></div>"
    )
