"""The console's own icons: 24×24 line drawings that take the colour of their text."""

from __future__ import annotations

from arcid.errors import UsageError

_LINES: dict[str, str] = {
    "live": "M3 8.5A2.5 2.5 0 0 1 5.5 6h8A2.5 2.5 0 0 1 16 8.5v7a2.5 2.5 0 0 1-2.5 2.5h-8A2.5 2.5 "
    "0 0 1 3 15.5zM16 11l5-3v8l-5-3",
    "attendance": "M4 6.5h16v13.5H4zM4 10.5h16M8 4v4M16 4v4M8.5 15.5l2.3 2.3 4.7-4.6",
    "people": "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.4-4 3-6 6.5-6s6.1 2 6.5 6"
    "M15.5 4.5a3.3 3.3 0 0 1 0 6.3M17.5 14.5c2.3.8 3.7 2.6 4 5.5",
    "person": "M12 11.5a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5c.6-4.4 3.6-6.5 7.5-6.5s6.9 2.1 7.5 "
    "6.5",
    "collections": "M3.5 19.5v-14h6l2 2.5h9v11.5zM3.5 11h17",
    "search": "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5 20.5 20.5",
    "compare": "M12 3v18M3.5 7h5.5v10H3.5zM15 7h5.5v10H15z",
    "unknowns": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.5-1.1.9"
    "-1.1 1.8M12 16.6v.2",
    "duplicates": "M8.2 11a3.3 3.3 0 1 0 0-6.6 3.3 3.3 0 0 0 0 6.6zM15.8 11a3.3 3.3 0 1 0 0-6.6 "
    "3.3 3.3 0 0 0 0 6.6zM2 19.5c.4-3.7 2.7-5.5 6.2-5.5 1.6 0 2.9.4 3.8 1.2.9-.8 2.2-1.2 3.8-1.2 "
    "3.5 0 5.8 1.8 6.2 5.5",
    "review": "M9.5 10.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM3.5 19c.4-3.6 2.8-5.5 6-5.5 1.3 0 2.5.3 3.5 "
    "1M16 12a2.2 2.2 0 1 1 3.2 2c-.8.4-1.1.9-1.1 1.7M18.1 19.4v.2",
    "alerts": "M6.5 16.5V11a5.5 5.5 0 0 1 11 0v5.5l1.5 2H5zM10 21h4M12 5.5V3",
    "watchlists": "M4 5.5h11M4 10.5h11M4 15.5h6M16.5 19a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM18.8 18.3 21 "
    "20.5",
    "onboarding": "M3.5 6h17v12h-17zM8.5 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM5.5 15.5c.4-1.5 1.5-2.2 "
    "3-2.2s2.6.7 3 2.2M14 10h4M14 13.5h4",
    "privacy": "M12 3 19.5 6v5.5c0 4.6-3 7.9-7.5 9.5-4.5-1.6-7.5-4.9-7.5-9.5V6zM12 12a2.2 2.2 0 "
    "1 0 0-4.4 2.2 2.2 0 0 0 0 4.4zM8.3 16.3c.5-2 1.8-2.9 3.7-2.9s3.2.9 3.7 2.9",
    "cameras": "M4 5h11l1 4-1 4H4zM16 8h4v2.5h-4M7 13v3a3 3 0 0 0 3 3h4M18 16.5v5",
    "doors": "M6 21V4.5L15 3v18M15 6h3.5v15M3.5 21h17M11.8 12v.8",
    "models": "M12 3 20.5 7.5 12 12 3.5 7.5zM3.5 12 12 16.5 20.5 12M3.5 16.5 12 21l8.5-4.5",
    "audit": "M6 3.5h9l4 4v13H6zM15 3.5v4h4M9 12h7M9 15.5h7M9 8.5h3",
    "system": "M3 13h4l2.5-7 4.5 12 2.5-5H21",
    "accounts": "M12 3 19.5 6v5.5c0 4.6-3 7.9-7.5 9.5-4.5-1.6-7.5-4.9-7.5-9.5V6zM9 12l2.2 2.2"
    "L15.2 10",
    "kiosk": "M5 3h14v13.5H5zM9.5 21h5M12 16.5V21M12 11a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM8.7 14.3"
    "c.7-1.5 1.8-2.1 3.3-2.1s2.6.6 3.3 2.1",
    "more": "M4 6.5h16M4 12h16M4 17.5h16",
    "add": "M12 5v14M5 12h14",
    "photo": "M4 5.5h16v13H4zM4 15.5l4.5-4 4 3.5 3-2.5 4.5 4M15.5 9.8v.1",
    "check": "M4.5 12.5 10 18 19.5 7",
    "cross": "M6 6l12 12M18 6 6 18",
    "info": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5.5M12 7.5v.2",
    "warn": "M12 4 21.5 20h-19zM12 10v4.5M12 17.2v.2",
    "trash": "M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 13h9.4l.8-13M10 11v5.5M14 11v5.5",
    "merge": "M6 4v3.5c0 3 6 3.5 6 7.5v5M18 4v3.5c0 3-6 3.5-6 7.5M9 17l3 3 3-3",
    "moon": "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
    "out": "M14 4H5v16h9M10 12h11M17.5 8.5 21 12l-3.5 3.5",
    "back": "M14.5 5 7.5 12l7 7",
    "next": "M9.5 5l7 7-7 7",
    "edit": "M4.5 19.5 5.5 15 16 4.5l3.5 3.5L9 18.5zM13.5 7l3.5 3.5",
    "download": "M12 4v11M7.5 11 12 15.5 16.5 11M4.5 19.5h15",
    "keys": "M8.5 19a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM11 13l8-8M16 8l2.5 2.5M13 11l1.5 1.5",
    "lock": "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
    "clock": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7.5V12l3 2",
    "expand": "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
}
LOGO = (
    '<svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><path d="M4 11V7a3 3 0 0 1 3-3h4M21 4'
    'h4a3 3 0 0 1 3 3v4M28 21v4a3 3 0 0 1-3 3h-4M11 28H7a3 3 0 0 1-3-3v-4" class="logo-frame"/>'
    '<path d="M9 21.5a7 7 0 0 1 14 0" class="logo-arc"/><circle cx="16" cy="11.5" r="3.6" '
    'class="logo-head"/></svg>'
)


def svg(name: str) -> str:
    """Inline SVG, hidden from screen readers: the text beside it speaks."""
    if name not in _LINES:
        raise UsageError(f"icon {name!r} is unknown; there are {', '.join(sorted(_LINES))}")
    return (
        f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="{_LINES[name]}"/></svg>'
    )
