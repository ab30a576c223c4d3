"""One file per group of routes; ``ROUTERS`` is what an application mounts."""

from __future__ import annotations

from arcid.server.routes import (
    analyse,
    attendance,
    audit,
    cameras,
    collections,
    faces,
    pages,
    people,
    reviews,
    search,
    system,
)

ROUTERS = (
    system.router,
    analyse.router,
    collections.router,
    people.router,
    faces.router,
    search.router,
    search.people,
    attendance.router,
    reviews.router,
    cameras.router,
    audit.router,
    pages.router,
)
