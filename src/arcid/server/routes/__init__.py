"""One file per group of routes; ``ROUTERS`` is what an application mounts."""

from __future__ import annotations

from arcid.server.routes import (
    alerts,
    analyse,
    applicant,
    attendance,
    audit,
    cameras,
    collections,
    door_passing,
    door_rules,
    doors,
    duplicate_runs,
    duplicates,
    faces,
    keys,
    onboarding,
    pages,
    people,
    reviews,
    search,
    system,
    watchlists,
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
    duplicate_runs.router,
    duplicates.router,
    cameras.router,
    audit.router,
    keys.router,
    onboarding.router,
    onboarding.people,
    applicant.router,
    door_passing.router,  # /doors/lockdown before /doors/{door_id}
    doors.router,
    door_rules.router,
    watchlists.router,
    alerts.router,
    pages.router,
)
