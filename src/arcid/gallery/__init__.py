"""Collections of people and their face templates: SQL is the truth, indexes are disposable."""

from __future__ import annotations

from arcid.gallery.duplicates import Decide
from arcid.gallery.gallery import Gallery
from arcid.gallery.index import Aggregate, IndexFactory, PersonHit, VectorIndex
from arcid.gallery.paging import Page, pages
from arcid.gallery.records import (
    Box,
    Change,
    ChangeKind,
    Collection,
    Consent,
    ContractUsage,
    Enrolment,
    Merge,
    NewConsent,
    NewFace,
    NewFaces,
    Once,
    Person,
    Policy,
    ReembedReport,
    Refused,
    StoredFace,
    Unmerged,
)

__all__ = [
    "Aggregate",
    "Box",
    "Change",
    "ChangeKind",
    "Collection",
    "Consent",
    "ContractUsage",
    "Decide",
    "Enrolment",
    "Gallery",
    "IndexFactory",
    "Merge",
    "NewConsent",
    "NewFace",
    "NewFaces",
    "Once",
    "Page",
    "Person",
    "PersonHit",
    "Policy",
    "ReembedReport",
    "Refused",
    "StoredFace",
    "Unmerged",
    "VectorIndex",
    "pages",
]
