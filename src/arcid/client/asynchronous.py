"""The asynchronous client. Written by ``python scripts/make_client.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from types import NoneType
from typing import Any, Literal

import arcid.client.models as m
from arcid.client.photos import Photo
from arcid.client.requests import OMIT, File, Omit, segment
from arcid.client.sending import AsyncSender, Erased


class AsyncClient(AsyncSender):
    """As ``Client``, to be awaited."""

    async def health(self) -> m.Health:
        """Answers at once; the gallery is asked every second, by nobody's request.

        ``GET /v1/health``.
        """
        return await self._send("GET", "/v1/health", m.Health, repeatable=True)

    async def system(self) -> m.System:
        """Version, hardware, runtime and database.

        ``GET /v1/system``. An API key needs ``read``.
        """
        return await self._send("GET", "/v1/system", m.System, repeatable=True)

    async def models(self) -> m.Models:
        """The detector and the recogniser: facts, licences, and what their scores mean.

        ``GET /v1/models``. An API key needs ``read``.
        """
        return await self._send("GET", "/v1/models", m.Models, repeatable=True)

    async def metrics(self) -> str:
        """Prometheus text format. Answers at once, as health does.

        ``GET /metrics``. An API key needs ``read``.
        """
        return await self._send("GET", "/metrics", str, repeatable=True)

    async def detect(
        self,
        image: Photo,
        *,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        landmarks: bool | None = None,
    ) -> m.Detected:
        """Where are the faces, and can they be used?

        ``POST /v1/detect``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            "/v1/detect",
            m.Detected,
            repeatable=True,
            form={"select": select, "landmarks": landmarks},
            photos={"image": image},
        )

    async def embeddings(
        self,
        image: Photo,
        *,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        aligned: bool | None = None,
        landmarks: bool | None = None,
    ) -> m.Embedded:
        """One unit vector per face, with the contract of the model that made it.

        ``POST /v1/embeddings``. An API key needs ``vectors``.
        """
        return await self._send(
            "POST",
            "/v1/embeddings",
            m.Embedded,
            repeatable=True,
            form={"select": select, "aligned": aligned, "landmarks": landmarks},
            photos={"image": image},
        )

    async def compare(
        self,
        image_a: Photo,
        image_b: Photo,
        *,
        fmr: float | None = None,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        aligned: bool | None = None,
        extrapolate: bool | None = None,
    ) -> m.Compared:
        """Do two photos show one person, at a false match rate of your choice?

        ``POST /v1/compare``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            "/v1/compare",
            m.Compared,
            repeatable=True,
            form={"fmr": fmr, "select": select, "aligned": aligned, "extrapolate": extrapolate},
            photos={"image_a": image_a, "image_b": image_b},
        )

    async def compare_faces(
        self,
        image_a: Photo,
        image_b: Photo,
        *,
        fmr: float | None = None,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        extrapolate: bool | None = None,
    ) -> m.ComparedFaces:
        """Is the face of the first photo, by `select`, one of all those of the second?

        ``POST /v1/compare/faces``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            "/v1/compare/faces",
            m.ComparedFaces,
            repeatable=True,
            form={"fmr": fmr, "select": select, "extrapolate": extrapolate},
            photos={"image_a": image_a, "image_b": image_b},
        )

    async def liveness(
        self,
        image: Photo,
        *,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
    ) -> m.LivenessOut:
        """Is each face alive, or a print or a screen held before the camera? Send the whole photo
        as the camera took it. Needs models that are installed apart (`model_not_found`).

        ``POST /v1/liveness``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            "/v1/liveness",
            m.LivenessOut,
            repeatable=True,
            form={"select": select},
            photos={"image": image},
        )

    async def create_collection(
        self,
        name: str,
        *,
        keep_crops: bool | Omit = OMIT,
        metadata: Mapping[str, Any] | Omit | None = OMIT,
    ) -> m.CollectionOut:
        """Create an empty collection.

        ``POST /v1/collections``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            "/v1/collections",
            m.CollectionOut,
            repeatable=False,
            body={"name": name, "keep_crops": keep_crops, "metadata": metadata},
        )

    async def list_collections(
        self, *, limit: int | None = None, after: str | None = None
    ) -> m.Collections:
        """Collections by name with their sizes, a page at a time.

        ``GET /v1/collections``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            "/v1/collections",
            m.Collections,
            repeatable=True,
            query={"limit": limit, "after": after},
        )

    def iter_collections(self, *, limit: int | None = None) -> AsyncIterator[m.CollectionOut]:
        """Every row of ``list_collections``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_collections(limit=limit, after=after),
            lambda page: page.collections,
        )

    async def get_collection(self, collection: str) -> m.CollectionOut:
        """One collection.

        ``GET /v1/collections/{collection}``. An API key needs ``read``.
        """
        return await self._send(
            "GET", f"/v1/collections/{segment(collection)}", m.CollectionOut, repeatable=True
        )

    async def change_collection(
        self,
        collection: str,
        *,
        name: str | Omit | None = OMIT,
        keep_crops: bool | Omit | None = OMIT,
        metadata: Mapping[str, Any] | Omit | None = OMIT,
    ) -> m.CollectionOut:
        """Rename it, or change its metadata or whether it keeps crops.

        ``PATCH /v1/collections/{collection}``. An API key needs ``admin``.
        """
        return await self._send(
            "PATCH",
            f"/v1/collections/{segment(collection)}",
            m.CollectionOut,
            repeatable=False,
            body={"name": name, "keep_crops": keep_crops, "metadata": metadata},
        )

    async def delete_collection(self, collection: str) -> Erased:
        """Delete a collection with all its people and faces; `Arcid-Receipt` names the receipt.

        ``DELETE /v1/collections/{collection}``. An API key needs ``delete``.
        """
        return await self._send(
            "DELETE", f"/v1/collections/{segment(collection)}", Erased, repeatable=True
        )

    async def list_contracts(self, collection: str) -> m.Contracts:
        """Which models embedded its faces: the progress of a model change.

        ``GET /v1/collections/{collection}/contracts``. An API key needs ``read``.
        """
        return await self._send(
            "GET", f"/v1/collections/{segment(collection)}/contracts", m.Contracts, repeatable=True
        )

    async def add_person(
        self,
        collection: str,
        name: str,
        *,
        external_id: str | Omit | None = OMIT,
        metadata: Mapping[str, Any] | Omit | None = OMIT,
    ) -> m.PersonOut:
        """Add a person without faces.

        ``POST /v1/collections/{collection}/people``. An API key needs ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people",
            m.PersonOut,
            repeatable=False,
            body={"name": name, "external_id": external_id, "metadata": metadata},
        )

    async def list_people(
        self,
        collection: str,
        *,
        search: str | None = None,
        where: str | None = None,
        external_id: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.People:
        """People by name, a page at a time.

        ``GET /v1/collections/{collection}/people``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/people",
            m.People,
            repeatable=True,
            query={
                "search": search,
                "where": where,
                "external_id": external_id,
                "limit": limit,
                "after": after,
            },
        )

    def iter_people(
        self,
        collection: str,
        *,
        search: str | None = None,
        where: str | None = None,
        external_id: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[m.PersonOut]:
        """Every row of ``list_people``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_people(
                collection=collection,
                search=search,
                where=where,
                external_id=external_id,
                limit=limit,
                after=after,
            ),
            lambda page: page.people,
        )

    async def put_person(
        self,
        collection: str,
        external_id: str,
        name: str,
        *,
        metadata: Mapping[str, Any] | Omit | None = OMIT,
    ) -> m.PersonOut:
        """The person of an external id, made or changed to have this name and metadata. The same
        again changes nothing.

        ``PUT /v1/collections/{collection}/people``. An API key needs ``enrol``.
        """
        return await self._send(
            "PUT",
            f"/v1/collections/{segment(collection)}/people",
            m.PersonOut,
            repeatable=True,
            query={"external_id": external_id},
            body={"name": name, "metadata": metadata},
        )

    async def get_person(self, collection: str, person_id: str) -> m.PersonOut:
        """One person.

        ``GET /v1/collections/{collection}/people/{person_id}``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}",
            m.PersonOut,
            repeatable=True,
        )

    async def change_person(
        self,
        collection: str,
        person_id: str,
        *,
        name: str | Omit | None = OMIT,
        external_id: str | Omit | None = OMIT,
        metadata: Mapping[str, Any] | Omit | None = OMIT,
    ) -> m.PersonOut:
        """Rename a person, or replace the metadata or the external id.

        ``PATCH /v1/collections/{collection}/people/{person_id}``. An API key needs ``enrol``.
        """
        return await self._send(
            "PATCH",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}",
            m.PersonOut,
            repeatable=False,
            body={"name": name, "external_id": external_id, "metadata": metadata},
        )

    async def delete_person(self, collection: str, person_id: str) -> Erased:
        """Delete a person with all faces; the header `Arcid-Receipt` names the receipt.

        ``DELETE /v1/collections/{collection}/people/{person_id}``. An API key needs ``delete``.
        """
        return await self._send(
            "DELETE",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}",
            Erased,
            repeatable=True,
        )

    async def merge_people(self, collection: str, person_id: str, other_id: str) -> m.PersonOut:
        """Take over all faces of another person, who is then removed.

        Two people seen in one photo are never merged.

        ``POST /v1/collections/{collection}/people/{person_id}/merge``. An API key needs
        ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/merge",
            m.PersonOut,
            repeatable=False,
            body={"other_id": other_id},
        )

    async def split_person(
        self,
        collection: str,
        person_id: str,
        face_ids: Sequence[str],
        name: str,
        *,
        metadata: Mapping[str, Any] | Omit | None = OMIT,
    ) -> m.PersonOut:
        """Move some faces to a new person, who is the answer.

        ``POST /v1/collections/{collection}/people/{person_id}/split``. An API key needs
        ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/split",
            m.PersonOut,
            repeatable=False,
            body={"face_ids": face_ids, "name": name, "metadata": metadata},
        )

    async def get_policy(self, collection: str) -> m.PolicyOut:
        """What the collection is for, who must have agreed, how long what is kept, and who agreed.

        ``GET /v1/collections/{collection}/policy``. An API key needs ``read``.
        """
        return await self._send(
            "GET", f"/v1/collections/{segment(collection)}/policy", m.PolicyOut, repeatable=True
        )

    async def change_policy(
        self,
        collection: str,
        *,
        purpose: str | Omit | None = OMIT,
        legal_basis: str | Omit | None = OMIT,
        consent: bool | Omit | None = OMIT,
        on_withdrawal: Literal["erase", "review"] | Omit | None = OMIT,
        unseen_days: float | Omit | None = OMIT,
        keep_days: float | Omit | None = OMIT,
        strangers_hours: float | Omit | None = OMIT,
        event_faces_days: float | Omit | None = OMIT,
        refused_days: float | Omit | None = OMIT,
        crops_for: Sequence[str] | Omit | None = OMIT,
        published: bool | Omit | None = OMIT,
    ) -> m.PolicyOut:
        """Change it. A shorter time erases at the service's next turn.

        ``PATCH /v1/collections/{collection}/policy``. An API key needs ``admin``.
        """
        return await self._send(
            "PATCH",
            f"/v1/collections/{segment(collection)}/policy",
            m.PolicyOut,
            repeatable=False,
            body={
                "purpose": purpose,
                "legal_basis": legal_basis,
                "consent": consent,
                "on_withdrawal": on_withdrawal,
                "unseen_days": unseen_days,
                "keep_days": keep_days,
                "strangers_hours": strangers_hours,
                "event_faces_days": event_faces_days,
                "refused_days": refused_days,
                "crops_for": crops_for,
                "published": published,
            },
        )

    async def list_consents(self, collection: str, person_id: str) -> m.ConsentsOut:
        """What a person agreed to, and what was taken back.

        ``GET /v1/collections/{collection}/people/{person_id}/consents``. An API key needs
        ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/consents",
            m.ConsentsOut,
            repeatable=True,
        )

    async def record_consent(
        self,
        collection: str,
        person_id: str,
        text: str,
        *,
        evidence: str | Omit = OMIT,
        by: str | Omit = OMIT,
        what: str | Omit = OMIT,
        at: datetime | Omit | None = OMIT,
    ) -> m.PrivacyConsentOut:
        """Record that a person agreed.

        ``POST /v1/collections/{collection}/people/{person_id}/consents``. An API key needs
        ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/consents",
            m.PrivacyConsentOut,
            repeatable=False,
            body={"text": text, "evidence": evidence, "by": by, "what": what, "at": at},
        )

    async def withdraw_consent(
        self, collection: str, person_id: str, *, reason: str | Omit = OMIT
    ) -> m.WithdrawalOut:
        """Take back what a person agreed to; the collection's policy says what follows.

        ``POST /v1/collections/{collection}/people/{person_id}/consents/withdraw``. An API key
        needs ``delete``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/consents/withdraw",
            m.WithdrawalOut,
            repeatable=False,
            body={"reason": reason},
        )

    async def export_person(self, collection: str, person_id: str) -> bytes:
        """All that is held of a person as a zip of JSON and pictures, for themselves.

        Without the numbers of their faces, unless the key has the verb `vectors`.

        ``POST /v1/collections/{collection}/people/{person_id}/export``. An API key needs
        ``admin``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/export",
            bytes,
            repeatable=False,
        )

    async def get_retention(self) -> m.RetentionOut:
        """What is older than its collection keeps it, and what was erased when.

        ``GET /v1/retention``. An API key needs ``admin``.
        """
        return await self._send("GET", "/v1/retention", m.RetentionOut, repeatable=True)

    async def list_receipts(
        self, *, subject: str | None = None, limit: int | None = None, after: str | None = None
    ) -> m.ReceiptsOut:
        """What was erased, by kind and count. No names.

        ``GET /v1/receipts``. An API key needs ``admin``.
        """
        return await self._send(
            "GET",
            "/v1/receipts",
            m.ReceiptsOut,
            repeatable=True,
            query={"subject": subject, "limit": limit, "after": after},
        )

    def iter_receipts(
        self, *, subject: str | None = None, limit: int | None = None
    ) -> AsyncIterator[m.ReceiptOut]:
        """Every row of ``list_receipts``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_receipts(subject=subject, limit=limit, after=after),
            lambda page: page.receipts,
        )

    async def get_receipt(self, receipt_id: str) -> dict[str, Any]:
        """The signed file; `arcid receipts verify FILE` checks it offline.

        ``GET /v1/receipts/{receipt_id}``. An API key needs ``admin``.
        """
        return await self._send("GET", f"/v1/receipts/{segment(receipt_id)}", dict, repeatable=True)

    async def list_disclosures(
        self,
        *,
        person_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.DisclosuresOut:
        """Who was told what about whom; kept for three years.

        ``GET /v1/disclosures``. An API key needs ``admin``.
        """
        return await self._send(
            "GET",
            "/v1/disclosures",
            m.DisclosuresOut,
            repeatable=True,
            query={
                "person_id": person_id,
                "since": since,
                "until": until,
                "limit": limit,
                "after": after,
            },
        )

    def iter_disclosures(
        self,
        *,
        person_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[m.DisclosureOut]:
        """Every row of ``list_disclosures``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_disclosures(
                person_id=person_id, since=since, until=until, limit=limit, after=after
            ),
            lambda page: page.disclosures,
        )

    async def enrol(
        self,
        collection: str,
        name: str,
        image: Photo | Sequence[Photo],
        *,
        idempotency_key: str | None = None,
        external_id: str | None = None,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        aligned: bool | None = None,
        require_quality: bool | None = None,
        allow_duplicate: bool | None = None,
        partial: bool | None = None,
        consent: str | None = None,
        consent_evidence: str | None = None,
        consent_by: str | None = None,
        consent_at: datetime | None = None,
    ) -> m.Enrolled:
        """Add faces under a name; who is not there yet is created. All images or none, unless
        `partial`.

        ``POST /v1/collections/{collection}/enrol``. An API key needs ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/enrol",
            m.Enrolled,
            repeatable=False,
            form={
                "name": name,
                "external_id": external_id,
                "select": select,
                "aligned": aligned,
                "require_quality": require_quality,
                "allow_duplicate": allow_duplicate,
                "partial": partial,
                "consent": consent,
                "consent_evidence": consent_evidence,
                "consent_by": consent_by,
                "consent_at": consent_at,
            },
            photos={"image": image},
            once=idempotency_key or "",
        )

    async def add_faces(
        self,
        collection: str,
        person_id: str,
        image: Photo | Sequence[Photo],
        *,
        idempotency_key: str | None = None,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        aligned: bool | None = None,
        require_quality: bool | None = None,
        allow_duplicate: bool | None = None,
        partial: bool | None = None,
        consent: str | None = None,
        consent_evidence: str | None = None,
        consent_by: str | None = None,
        consent_at: datetime | None = None,
    ) -> m.Enrolled:
        """Add faces to a person. All images or none, unless `partial`.

        ``POST /v1/collections/{collection}/people/{person_id}/faces``. An API key needs
        ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/faces",
            m.Enrolled,
            repeatable=False,
            form={
                "select": select,
                "aligned": aligned,
                "require_quality": require_quality,
                "allow_duplicate": allow_duplicate,
                "partial": partial,
                "consent": consent,
                "consent_evidence": consent_evidence,
                "consent_by": consent_by,
                "consent_at": consent_at,
            },
            photos={"image": image},
            once=idempotency_key or "",
        )

    async def list_faces(
        self, collection: str, person_id: str, *, limit: int | None = None, after: str | None = None
    ) -> m.FacesPage:
        """Faces of a person, oldest first, a page at a time.

        ``GET /v1/collections/{collection}/people/{person_id}/faces``. An API key needs
        ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/faces",
            m.FacesPage,
            repeatable=True,
            query={"limit": limit, "after": after},
        )

    def iter_faces(
        self, collection: str, person_id: str, *, limit: int | None = None
    ) -> AsyncIterator[m.StoredFaceOut]:
        """Every row of ``list_faces``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_faces(
                collection=collection, person_id=person_id, limit=limit, after=after
            ),
            lambda page: page.faces,
        )

    async def enrol_each(
        self,
        collection: str,
        image: Photo,
        *,
        name: str | None = None,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        require_quality: bool | None = None,
        allow_duplicate: bool | None = None,
        consent: str | None = None,
        consent_evidence: str | None = None,
        consent_by: str | None = None,
        consent_at: datetime | None = None,
    ) -> m.EnrolledEach:
        """Enrol every face of a photo as a person of its own, or say why not. `consent` is that of
        everybody in it.

        ``POST /v1/collections/{collection}/enrol/faces``. An API key needs ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/enrol/faces",
            m.EnrolledEach,
            repeatable=False,
            form={
                "name": name,
                "select": select,
                "require_quality": require_quality,
                "allow_duplicate": allow_duplicate,
                "consent": consent,
                "consent_evidence": consent_evidence,
                "consent_by": consent_by,
                "consent_at": consent_at,
            },
            photos={"image": image},
        )

    async def enrol_embeddings(
        self,
        collection: str,
        vectors: Sequence[Sequence[float]],
        contract_id: str,
        name: str,
        *,
        idempotency_key: str | None = None,
        source: str | Omit = OMIT,
        allow_duplicate: bool | Omit = OMIT,
        partial: bool | Omit = OMIT,
        consent: m.ConsentGiven | Omit | None = OMIT,
        external_id: str | Omit | None = OMIT,
    ) -> m.Enrolled:
        """Add vectors, as `/v1/embeddings` gives them, under a name; who is not there yet is
        created. All or none, unless `partial`. For keys trusted with vectors.

        ``POST /v1/collections/{collection}/enrol/embeddings``. An API key needs ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/enrol/embeddings",
            m.Enrolled,
            repeatable=False,
            body={
                "vectors": vectors,
                "contract_id": contract_id,
                "source": source,
                "allow_duplicate": allow_duplicate,
                "partial": partial,
                "consent": consent,
                "name": name,
                "external_id": external_id,
            },
            once=idempotency_key or "",
        )

    async def add_embeddings(
        self,
        collection: str,
        person_id: str,
        vectors: Sequence[Sequence[float]],
        contract_id: str,
        *,
        idempotency_key: str | None = None,
        source: str | Omit = OMIT,
        allow_duplicate: bool | Omit = OMIT,
        partial: bool | Omit = OMIT,
        consent: m.ConsentGiven | Omit | None = OMIT,
    ) -> m.Enrolled:
        """Add vectors to a person. All or none, unless `partial`. For keys trusted with vectors.

        ``POST /v1/collections/{collection}/people/{person_id}/faces/embeddings``. An API key
        needs ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/faces/embeddings",
            m.Enrolled,
            repeatable=False,
            body={
                "vectors": vectors,
                "contract_id": contract_id,
                "source": source,
                "allow_duplicate": allow_duplicate,
                "partial": partial,
                "consent": consent,
            },
            once=idempotency_key or "",
        )

    async def get_face(self, collection: str, face_id: str) -> m.StoredFaceOut:
        """One face.

        ``GET /v1/collections/{collection}/faces/{face_id}``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/faces/{segment(face_id)}",
            m.StoredFaceOut,
            repeatable=True,
        )

    async def delete_face(self, collection: str, face_id: str) -> Erased:
        """Delete a face with its vectors and its crop.

        ``DELETE /v1/collections/{collection}/faces/{face_id}``. An API key needs ``delete``.
        """
        return await self._send(
            "DELETE",
            f"/v1/collections/{segment(collection)}/faces/{segment(face_id)}",
            Erased,
            repeatable=True,
        )

    async def move_face(self, collection: str, face_id: str, person_id: str) -> m.StoredFaceOut:
        """Give a face to another person.

        ``POST /v1/collections/{collection}/faces/{face_id}/move``. An API key needs ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/faces/{segment(face_id)}/move",
            m.StoredFaceOut,
            repeatable=False,
            body={"person_id": person_id},
        )

    async def get_crop(self, collection: str, face_id: str) -> bytes:
        """The aligned crop as PNG, where the collection keeps crops.

        ``GET /v1/collections/{collection}/faces/{face_id}/crop``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/faces/{segment(face_id)}/crop",
            bytes,
            repeatable=True,
        )

    async def search_photo(
        self,
        collection: str,
        image: Photo,
        *,
        k: int | None = None,
        fpir: float | None = None,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        aggregate: Literal["max", "mean"] | None = None,
        unsupported: Literal["raise", "review", "extrapolate"] | None = None,
        where: Mapping[str, str | bool | int | float | None] | None = None,
        aligned: bool | None = None,
    ) -> m.SearchOut:
        """Who of a collection is in a photo? Two faces of it are never one person.

        ``POST /v1/collections/{collection}/search``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/search",
            m.SearchOut,
            repeatable=True,
            form={
                "k": k,
                "fpir": fpir,
                "select": select,
                "aggregate": aggregate,
                "unsupported": unsupported,
                "where": where,
                "aligned": aligned,
            },
            photos={"image": image},
        )

    async def search_embedding(
        self,
        collection: str,
        vector: Sequence[float],
        contract_id: str,
        *,
        k: int | Omit = OMIT,
        fpir: float | Omit = OMIT,
        aggregate: Literal["max", "mean"] | Omit = OMIT,
        unsupported: Literal["raise", "review", "extrapolate"] | Omit = OMIT,
        where: Mapping[str, str | bool | int | float | None] | Omit | None = OMIT,
    ) -> m.VectorSearchOut:
        """Whose vector is it? It must be of the model that runs here.

        ``POST /v1/collections/{collection}/search/embedding``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/search/embedding",
            m.VectorSearchOut,
            repeatable=True,
            body={
                "vector": vector,
                "contract_id": contract_id,
                "k": k,
                "fpir": fpir,
                "aggregate": aggregate,
                "unsupported": unsupported,
                "where": where,
            },
        )

    async def search_person(
        self,
        collection: str,
        person_id: str,
        *,
        k: int | Omit = OMIT,
        fpir: float | Omit = OMIT,
        unsupported: Literal["raise", "review", "extrapolate"] | Omit = OMIT,
    ) -> m.PersonSearchOut:
        """Who looks like this enrolled person? Finds people enrolled twice.

        ``POST /v1/collections/{collection}/search/person``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/search/person",
            m.PersonSearchOut,
            repeatable=True,
            body={"person_id": person_id, "k": k, "fpir": fpir, "unsupported": unsupported},
        )

    async def verify_person(
        self,
        collection: str,
        person_id: str,
        image: Photo,
        *,
        fmr: float | None = None,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        aligned: bool | None = None,
        extrapolate: bool | None = None,
    ) -> m.PersonVerified:
        """Is the face of a photo this enrolled person, at a false match rate of your choice?

        ``POST /v1/collections/{collection}/people/{person_id}/verify``. An API key needs
        ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/verify",
            m.PersonVerified,
            repeatable=True,
            form={"fmr": fmr, "select": select, "aligned": aligned, "extrapolate": extrapolate},
            photos={"image": image},
        )

    async def verify_embedding(
        self,
        collection: str,
        person_id: str,
        vector: Sequence[float],
        contract_id: str,
        *,
        fmr: float | Omit = OMIT,
        extrapolate: bool | Omit = OMIT,
    ) -> m.PersonVerified:
        """Is a vector this enrolled person's? It must be of the model that runs here.

        ``POST /v1/collections/{collection}/people/{person_id}/verify/embedding``. An API key
        needs ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/verify/embedding",
            m.PersonVerified,
            repeatable=True,
            body={
                "vector": vector,
                "contract_id": contract_id,
                "fmr": fmr,
                "extrapolate": extrapolate,
            },
        )

    async def search_photos(
        self,
        collection: str,
        image: Photo | Sequence[Photo],
        *,
        k: int | None = None,
        fpir: float | None = None,
        select: Literal["prominent", "one", "largest", "center", "all"] | None = None,
        aggregate: Literal["max", "mean"] | None = None,
        unsupported: Literal["raise", "review", "extrapolate"] | None = None,
        where: Mapping[str, str | bool | int | float | None] | None = None,
        aligned: bool | None = None,
    ) -> m.SearchedImages:
        """Who of a collection is in several photos? For each an answer or an error.

        ``POST /v1/collections/{collection}/search/photos``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/search/photos",
            m.SearchedImages,
            repeatable=True,
            form={
                "k": k,
                "fpir": fpir,
                "select": select,
                "aggregate": aggregate,
                "unsupported": unsupported,
                "where": where,
                "aligned": aligned,
            },
            photos={"image": image},
        )

    async def search_embeddings(
        self,
        collection: str,
        vectors: Sequence[Sequence[float]],
        contract_id: str,
        *,
        k: int | Omit = OMIT,
        fpir: float | Omit = OMIT,
        aggregate: Literal["max", "mean"] | Omit = OMIT,
        unsupported: Literal["raise", "review", "extrapolate"] | Omit = OMIT,
        where: Mapping[str, str | bool | int | float | None] | Omit | None = OMIT,
    ) -> m.SearchedVectors:
        """Whose vectors are they? For each an answer or an error; all of the model that runs here.

        ``POST /v1/collections/{collection}/search/embeddings``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/search/embeddings",
            m.SearchedVectors,
            repeatable=True,
            body={
                "vectors": vectors,
                "contract_id": contract_id,
                "k": k,
                "fpir": fpir,
                "aggregate": aggregate,
                "unsupported": unsupported,
                "where": where,
            },
        )

    async def list_events(
        self,
        collection: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        kind: Sequence[
            Literal[
                "arrival",
                "departure",
                "unknown",
                "review",
                "spoof",
                "alert",
                "access",
                "onboarding",
                "duplicate",
            ]
        ]
        | None = None,
        person_id: str | None = None,
        camera: str | None = None,
        voided: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.Events:
        """Arrivals, departures, unknown visitors, doubtful cases and suspected attacks,
        corrections applied.

        ``GET /v1/collections/{collection}/attendance/events``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/attendance/events",
            m.Events,
            repeatable=True,
            query={
                "since": since,
                "until": until,
                "kind": kind,
                "person_id": person_id,
                "camera": camera,
                "voided": voided,
                "limit": limit,
                "after": after,
            },
        )

    def iter_events(
        self,
        collection: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        kind: Sequence[
            Literal[
                "arrival",
                "departure",
                "unknown",
                "review",
                "spoof",
                "alert",
                "access",
                "onboarding",
                "duplicate",
            ]
        ]
        | None = None,
        person_id: str | None = None,
        camera: str | None = None,
        voided: bool | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[m.EventOut]:
        """Every row of ``list_events``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_events(
                collection=collection,
                since=since,
                until=until,
                kind=kind,
                person_id=person_id,
                camera=camera,
                voided=voided,
                limit=limit,
                after=after,
            ),
            lambda page: page.events,
        )

    async def add_event(
        self,
        collection: str,
        kind: Literal["arrival", "departure"],
        person_id: str,
        at: datetime,
        *,
        actor: str | Omit = OMIT,
        note: str | Omit = OMIT,
    ) -> m.EventOut:
        """Enter an arrival or departure by hand.

        ``POST /v1/collections/{collection}/attendance/events``. An API key needs ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/attendance/events",
            m.EventOut,
            repeatable=False,
            body={"kind": kind, "person_id": person_id, "at": at, "actor": actor, "note": note},
        )

    async def explain_event(self, collection: str, event_id: str) -> m.Explained:
        """One event, on what grounds it was decided, and what was corrected since.

        ``GET /v1/collections/{collection}/attendance/events/{event_id}``. An API key needs
        ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/attendance/events/{segment(event_id)}",
            m.Explained,
            repeatable=True,
        )

    async def correct_event(
        self,
        collection: str,
        event_id: str,
        action: Literal["void", "reassign", "retime"],
        *,
        person_id: str | Omit | None = OMIT,
        at: datetime | Omit | None = OMIT,
        actor: str | Omit = OMIT,
        note: str | Omit = OMIT,
    ) -> m.Corrected:
        """Void, reassign or retime an event by a new row; voiding a correction undoes it.

        ``POST /v1/collections/{collection}/attendance/events/{event_id}/corrections``. An API
        key needs ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/attendance/events/{segment(event_id)}/corrections",
            m.Corrected,
            repeatable=False,
            body={"action": action, "person_id": person_id, "at": at, "actor": actor, "note": note},
        )

    async def not_this_person(
        self,
        collection: str,
        event_id: str,
        *,
        block: bool | Omit = OMIT,
        actor: str | Omit = OMIT,
        note: str | Omit = OMIT,
    ) -> m.Corrected:
        """Remove a match and, while the face is kept, never take it for that person again.

        ``POST /v1/collections/{collection}/attendance/events/{event_id}/not-this-person``. An
        API key needs ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/attendance/events/{segment(event_id)}/not-this-person",
            m.Corrected,
            repeatable=False,
            body={"block": block, "actor": actor, "note": note},
        )

    async def list_present(self, collection: str) -> m.PresentOut:
        """Who is there: people seen within the cooldown.

        ``GET /v1/collections/{collection}/attendance/present``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/attendance/present",
            m.PresentOut,
            repeatable=True,
        )

    async def day_sheet(self, collection: str, day: date, *, zone: str | None = None) -> m.DayOut:
        """Everybody's first in, last out and hours of a day.

        ``GET /v1/collections/{collection}/attendance/days/{day}``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/attendance/days/{segment(day)}",
            m.DayOut,
            repeatable=True,
            query={"zone": zone},
        )

    async def month_sheet(
        self, collection: str, month: str, *, zone: str | None = None
    ) -> m.MonthOut:
        """Everybody's days of a month.

        ``GET /v1/collections/{collection}/attendance/months/{month}``. An API key needs
        ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/attendance/months/{segment(month)}",
            m.MonthOut,
            repeatable=True,
            query={"zone": zone},
        )

    async def export_attendance(
        self,
        collection: str,
        *,
        format: Literal["csv", "xlsx", "json"] | None = None,
        day: date | None = None,
        month: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        zone: str | None = None,
    ) -> bytes:
        """Events, or the sheet of a day or month, as a file. Names never become formulas.

        ``GET /v1/collections/{collection}/attendance/export``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/attendance/export",
            bytes,
            repeatable=True,
            query={
                "format": format,
                "day": day,
                "month": month,
                "since": since,
                "until": until,
                "zone": zone,
            },
        )

    async def list_reviews(
        self,
        collection: str,
        *,
        state: Sequence[Literal["open", "yes", "no", "withdrawn"]] | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.ReviewsOut:
        """Doubtful cases that wait for a human, or were answered.

        ``GET /v1/collections/{collection}/reviews``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/reviews",
            m.ReviewsOut,
            repeatable=True,
            query={"state": state, "limit": limit, "after": after},
        )

    def iter_reviews(
        self,
        collection: str,
        *,
        state: Sequence[Literal["open", "yes", "no", "withdrawn"]] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[m.ReviewOut]:
        """Every row of ``list_reviews``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_reviews(
                collection=collection, state=state, limit=limit, after=after
            ),
            lambda page: page.reviews,
        )

    async def get_review(self, collection: str, review_id: str) -> m.ReviewOut:
        """One doubtful case.

        ``GET /v1/collections/{collection}/reviews/{review_id}``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/reviews/{segment(review_id)}",
            m.ReviewOut,
            repeatable=True,
        )

    async def review_face(self, collection: str, review_id: str) -> bytes:
        """PNG of the aligned face in doubt, where the camera keeps crops.

        ``GET /v1/collections/{collection}/reviews/{review_id}/face``. An API key needs
        ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/reviews/{segment(review_id)}/face",
            bytes,
            repeatable=True,
        )

    async def answer_review(
        self,
        collection: str,
        review_id: str,
        answer: Literal["yes", "no", "not_person"],
        *,
        person_id: str | Omit | None = OMIT,
        block: bool | Omit = OMIT,
        actor: str | Omit = OMIT,
        note: str | Omit = OMIT,
    ) -> m.ReviewOut:
        """A human's word. The same again changes nothing; another answer is refused until it is
        taken back.

        ``POST /v1/collections/{collection}/reviews/{review_id}/answer``. An API key needs
        ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/reviews/{segment(review_id)}/answer",
            m.ReviewOut,
            repeatable=False,
            body={
                "answer": answer,
                "person_id": person_id,
                "block": block,
                "actor": actor,
                "note": note,
            },
        )

    async def undo_review(
        self,
        collection: str,
        review_id: str,
        *,
        answer_id: str | Omit | None = OMIT,
        actor: str | Omit = OMIT,
        note: str | Omit = OMIT,
    ) -> m.ReviewOut:
        """Take an answer back: the event, stay and departure are as before it.

        ``POST /v1/collections/{collection}/reviews/{review_id}/undo``. An API key needs
        ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/reviews/{segment(review_id)}/undo",
            m.ReviewOut,
            repeatable=False,
            body={"answer_id": answer_id, "actor": actor, "note": note},
        )

    async def begin_run(
        self,
        collection: str,
        *,
        other: str | Omit | None = OMIT,
        since_last: bool | Omit = OMIT,
        false_pairs: float | Omit = OMIT,
        allow_extrapolation: bool | Omit = OMIT,
        actor: str | Omit = OMIT,
    ) -> m.DuplicateRunsRunOut:
        """Compare everybody with everybody, in the background; ask for the run to see how far it
        is.

        ``POST /v1/collections/{collection}/duplicates/runs``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/duplicates/runs",
            m.DuplicateRunsRunOut,
            repeatable=False,
            body={
                "other": other,
                "since_last": since_last,
                "false_pairs": false_pairs,
                "allow_extrapolation": allow_extrapolation,
                "actor": actor,
            },
        )

    async def list_runs(
        self, collection: str, *, limit: int | None = None, after: str | None = None
    ) -> m.RunsOut:
        """Runs of a collection, newest first.

        ``GET /v1/collections/{collection}/duplicates/runs``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/duplicates/runs",
            m.RunsOut,
            repeatable=True,
            query={"limit": limit, "after": after},
        )

    def iter_runs(
        self, collection: str, *, limit: int | None = None
    ) -> AsyncIterator[m.DuplicateRunsRunOut]:
        """Every row of ``list_runs``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_runs(collection=collection, limit=limit, after=after),
            lambda page: page.runs,
        )

    async def get_run(self, collection: str, run_id: str) -> m.DuplicateRunsRunOut:
        """How far a run is.

        ``GET /v1/collections/{collection}/duplicates/runs/{run_id}``. An API key needs
        ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/duplicates/runs/{segment(run_id)}",
            m.DuplicateRunsRunOut,
            repeatable=True,
        )

    async def delete_run(self, collection: str, run_id: str) -> Erased:
        """Forget a run and the pairs that it was the last to find; answers stay.

        ``DELETE /v1/collections/{collection}/duplicates/runs/{run_id}``. An API key needs
        ``delete``.
        """
        return await self._send(
            "DELETE",
            f"/v1/collections/{segment(collection)}/duplicates/runs/{segment(run_id)}",
            Erased,
            repeatable=True,
        )

    async def stop_run(self, collection: str, run_id: str) -> m.DuplicateRunsRunOut:
        """End a run after its last whole block; what it found stays.

        ``POST /v1/collections/{collection}/duplicates/runs/{run_id}/stop``. An API key needs
        ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/duplicates/runs/{segment(run_id)}/stop",
            m.DuplicateRunsRunOut,
            repeatable=False,
        )

    async def resume_run(self, collection: str, run_id: str) -> m.DuplicateRunsRunOut:
        """Go on with a run that was stopped, failed or was cut off.

        ``POST /v1/collections/{collection}/duplicates/runs/{run_id}/resume``. An API key needs
        ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/duplicates/runs/{segment(run_id)}/resume",
            m.DuplicateRunsRunOut,
            repeatable=False,
        )

    async def list_pairs(
        self,
        collection: str,
        *,
        state: Sequence[Literal["open", "same", "different", "lookalike", "unsure", "photo"]]
        | None = None,
        run: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.PairsOut:
        """Pairs of people who may be one, the most probable first.

        ``GET /v1/collections/{collection}/duplicates/pairs``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/duplicates/pairs",
            m.PairsOut,
            repeatable=True,
            query={"state": state, "run": run, "limit": limit, "after": after},
        )

    def iter_pairs(
        self,
        collection: str,
        *,
        state: Sequence[Literal["open", "same", "different", "lookalike", "unsure", "photo"]]
        | None = None,
        run: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[m.PairOut]:
        """Every row of ``list_pairs``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_pairs(
                collection=collection, state=state, run=run, limit=limit, after=after
            ),
            lambda page: page.pairs,
        )

    async def get_pair(self, collection: str, pair_id: str) -> m.PairOut:
        """One pair.

        ``GET /v1/collections/{collection}/duplicates/pairs/{pair_id}``. An API key needs
        ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/duplicates/pairs/{segment(pair_id)}",
            m.PairOut,
            repeatable=True,
        )

    async def answer_pair(
        self,
        collection: str,
        pair_id: str,
        answer: Literal["same", "different", "lookalike", "unsure"],
        *,
        keep_id: str | Omit | None = OMIT,
        merge: bool | Omit = OMIT,
        actor: str | Omit = OMIT,
        note: str | Omit = OMIT,
    ) -> m.PairAnswerOut:
        """A human's word. The same again changes nothing; another answer is refused until it is
        taken back.

        ``POST /v1/collections/{collection}/duplicates/pairs/{pair_id}/answer``. An API key
        needs ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/duplicates/pairs/{segment(pair_id)}/answer",
            m.PairAnswerOut,
            repeatable=False,
            body={
                "answer": answer,
                "keep_id": keep_id,
                "merge": merge,
                "actor": actor,
                "note": note,
            },
        )

    async def list_pair_answers(
        self,
        collection: str,
        *,
        undone: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.PairAnswersOut:
        """What was answered, newest first.

        ``GET /v1/collections/{collection}/duplicates/answers``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/duplicates/answers",
            m.PairAnswersOut,
            repeatable=True,
            query={"undone": undone, "limit": limit, "after": after},
        )

    def iter_pair_answers(
        self, collection: str, *, undone: bool | None = None, limit: int | None = None
    ) -> AsyncIterator[m.PairAnswerOut]:
        """Every row of ``list_pair_answers``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_pair_answers(
                collection=collection, undone=undone, limit=limit, after=after
            ),
            lambda page: page.answers,
        )

    async def undo_pair_answer(
        self,
        collection: str,
        answer_id: str,
        *,
        name: str | Omit | None = OMIT,
        actor: str | Omit = OMIT,
    ) -> m.UndonePairOut:
        """Take an answer back; people it merged are two again, with faces, names and events.

        ``POST /v1/collections/{collection}/duplicates/answers/{answer_id}/undo``. An API key
        needs ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/duplicates/answers/{segment(answer_id)}/undo",
            m.UndonePairOut,
            repeatable=False,
            body={"name": name, "actor": actor},
        )

    async def list_groups(self, collection: str) -> m.GroupsOut:
        """Groups of people who may all be one; two who cannot be one are never in one group.

        ``GET /v1/collections/{collection}/duplicates/groups``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/duplicates/groups",
            m.GroupsOut,
            repeatable=True,
        )

    async def export_pairs(
        self, collection: str, *, format: Literal["csv", "json"] | None = None
    ) -> bytes:
        """Every pair with its state.

        ``GET /v1/collections/{collection}/duplicates/export``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/duplicates/export",
            bytes,
            repeatable=True,
            query={"format": format},
        )

    async def list_cameras(
        self, *, limit: int | None = None, after: str | None = None
    ) -> m.Cameras:
        """Cameras by name with how they are doing in this process, a page at a time.

        ``GET /v1/cameras``. An API key needs ``read``.
        """
        return await self._send(
            "GET", "/v1/cameras", m.Cameras, repeatable=True, query={"limit": limit, "after": after}
        )

    def iter_cameras(self, *, limit: int | None = None) -> AsyncIterator[m.CameraOut]:
        """Every row of ``list_cameras``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_cameras(limit=limit, after=after), lambda page: page.cameras
        )

    async def add_camera(
        self,
        name: str,
        source: str,
        collection: str,
        *,
        place: str | Omit = OMIT,
        liveness: Literal["off", "flag", "require"] | Omit = OMIT,
        enabled: bool | Omit = OMIT,
        attendance: bool | Omit = OMIT,
    ) -> m.CameraOut:
        """Add a camera; where it is enabled it is opened at once, and again whenever it fails.

        ``POST /v1/cameras``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            "/v1/cameras",
            m.CameraOut,
            repeatable=False,
            body={
                "name": name,
                "source": source,
                "collection": collection,
                "place": place,
                "liveness": liveness,
                "enabled": enabled,
                "attendance": attendance,
            },
        )

    async def try_source(self, source: str) -> m.SourceTest:
        """Whether a source gives a picture within ten seconds; nothing is stored.

        ``POST /v1/cameras/test``. An API key needs ``admin``.
        """
        return await self._send(
            "POST", "/v1/cameras/test", m.SourceTest, repeatable=False, body={"source": source}
        )

    async def get_camera(self, camera_id: str) -> m.CameraOut:
        """One camera.

        ``GET /v1/cameras/{camera_id}``. An API key needs ``read``.
        """
        return await self._send(
            "GET", f"/v1/cameras/{segment(camera_id)}", m.CameraOut, repeatable=True
        )

    async def change_camera(
        self,
        camera_id: str,
        *,
        name: str | Omit | None = OMIT,
        source: str | Omit | None = OMIT,
        collection: str | Omit | None = OMIT,
        place: str | Omit | None = OMIT,
        liveness: Literal["off", "flag", "require"] | Omit | None = OMIT,
        enabled: bool | Omit | None = OMIT,
        attendance: bool | Omit | None = OMIT,
    ) -> m.CameraOut:
        """Change a camera, which is then opened anew.

        ``PATCH /v1/cameras/{camera_id}``. An API key needs ``admin``.
        """
        return await self._send(
            "PATCH",
            f"/v1/cameras/{segment(camera_id)}",
            m.CameraOut,
            repeatable=False,
            body={
                "name": name,
                "source": source,
                "collection": collection,
                "place": place,
                "liveness": liveness,
                "enabled": enabled,
                "attendance": attendance,
            },
        )

    async def delete_camera(self, camera_id: str) -> Erased:
        """Delete a camera; what it has seen stays.

        ``DELETE /v1/cameras/{camera_id}``. An API key needs ``admin``.
        """
        return await self._send(
            "DELETE", f"/v1/cameras/{segment(camera_id)}", Erased, repeatable=True
        )

    async def try_camera(self, camera_id: str) -> m.SourceTest:
        """Whether a camera gives a picture now; one that is live is not opened a second time.

        ``POST /v1/cameras/{camera_id}/test``. An API key needs ``admin``.
        """
        return await self._send(
            "POST", f"/v1/cameras/{segment(camera_id)}/test", m.SourceTest, repeatable=False
        )

    async def list_audit(
        self,
        *,
        actor: str | None = None,
        verb: str | None = None,
        subject: str | None = None,
        collection: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.AuditOut:
        """Who looked at or decided about people, when and why.

        ``GET /v1/audit``. An API key needs ``admin``.
        """
        return await self._send(
            "GET",
            "/v1/audit",
            m.AuditOut,
            repeatable=True,
            query={
                "actor": actor,
                "verb": verb,
                "subject": subject,
                "collection": collection,
                "since": since,
                "until": until,
                "limit": limit,
                "after": after,
            },
        )

    def iter_audit(
        self,
        *,
        actor: str | None = None,
        verb: str | None = None,
        subject: str | None = None,
        collection: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[m.EntryOut]:
        """Every row of ``list_audit``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_audit(
                actor=actor,
                verb=verb,
                subject=subject,
                collection=collection,
                since=since,
                until=until,
                limit=limit,
                after=after,
            ),
            lambda page: page.entries,
        )

    async def verify_audit(self) -> m.VerifiedOut:
        """Read the whole chain and every seal: no row was altered, removed or moved.

        ``GET /v1/audit/verify``. An API key needs ``admin``.
        """
        return await self._send("GET", "/v1/audit/verify", m.VerifiedOut, repeatable=True)

    async def list_backups(self) -> m.BackupsOut:
        """Backups in the folder of `ARCID_BACKUPS`, and whether one is overdue or failed.

        ``GET /v1/backups``. An API key needs ``admin``.
        """
        return await self._send("GET", "/v1/backups", m.BackupsOut, repeatable=True)

    async def make_backup(self) -> m.BackupOut:
        """Make a backup now: of one moment, read back and compared before it counts. Answers when
        it is done, and lets the oldest go.

        ``POST /v1/backups``. An API key needs ``admin``.
        """
        return await self._send("POST", "/v1/backups", m.BackupOut, repeatable=False)

    async def list_installed_models(self) -> m.InstalledModels:
        """Every model on this machine, what the catalogue has, and what the next start takes.

        ``GET /v1/models/installed``. An API key needs ``read``.
        """
        return await self._send("GET", "/v1/models/installed", m.InstalledModels, repeatable=True)

    async def choose_model(
        self, task: Literal["detection", "recognition"], name: str | None
    ) -> m.ChosenOut:
        """Use a model from the next start on; it is verified, loaded and run first. Refused where
        a setting names one. Tells what a recogniser of another contract means for each
        collection.

        ``PUT /v1/models/chosen/{task}``. An API key needs ``admin``.
        """
        return await self._send(
            "PUT",
            f"/v1/models/chosen/{segment(task)}",
            m.ChosenOut,
            repeatable=True,
            body={"name": name},
        )

    async def pull_model(self, name: str, *, accept_licence: bool | Omit = OMIT) -> m.PulledOut:
        """Fetch a model of the catalogue, where `ARCID_MODEL_DOWNLOADS` allows it and its licence
        is accepted. Answers when it is installed.

        ``POST /v1/models/pull``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            "/v1/models/pull",
            m.PulledOut,
            repeatable=False,
            body={"name": name, "accept_licence": accept_licence},
        )

    async def list_calibrations(self) -> m.CalibrationsOut:
        """Calibrations of the recogniser that runs: the packaged one and those measured here.

        ``GET /v1/calibrations``. An API key needs ``read``.
        """
        return await self._send("GET", "/v1/calibrations", m.CalibrationsOut, repeatable=True)

    async def use_calibration(self, calibration_id: str | None) -> m.CalibrationsOut:
        """Put a calibration in force from the next start on.

        ``PUT /v1/calibrations/in_force``. An API key needs ``admin``.
        """
        return await self._send(
            "PUT",
            "/v1/calibrations/in_force",
            m.CalibrationsOut,
            repeatable=True,
            body={"calibration_id": calibration_id},
        )

    async def delete_calibration(self, calibration_id: str) -> None:
        """Erase a calibration that was measured here and is not in force.

        ``DELETE /v1/calibrations/{calibration_id}``. An API key needs ``admin``.
        """
        await self._send(
            "DELETE", f"/v1/calibrations/{segment(calibration_id)}", NoneType, repeatable=True
        )

    async def list_keys(self) -> m.KeysOut:
        """Stored keys; those of `ARCID_API_KEYS` are not among them.

        ``GET /v1/keys``. An API key needs ``admin``.
        """
        return await self._send("GET", "/v1/keys", m.KeysOut, repeatable=True)

    async def add_key(
        self,
        name: str,
        verbs: Sequence[
            Literal["read", "search", "enrol", "decide", "delete", "doors", "admin", "vectors"]
        ],
        *,
        collections: Sequence[str] | Omit | None = OMIT,
        days: float | Omit | None = OMIT,
        per_minute: int | Omit | None = OMIT,
    ) -> m.MadeOut:
        """A new key. Nobody hands out what their own key may not do.

        ``POST /v1/keys``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            "/v1/keys",
            m.MadeOut,
            repeatable=False,
            body={
                "name": name,
                "verbs": verbs,
                "collections": collections,
                "days": days,
                "per_minute": per_minute,
            },
        )

    async def rotate_key(
        self, key: str, *, overlap_hours: float | Omit = OMIT, days: float | Omit | None = OMIT
    ) -> m.MadeOut:
        """A new secret for a key; id, verbs and collections stay.

        ``POST /v1/keys/{key}/rotate``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            f"/v1/keys/{segment(key)}/rotate",
            m.MadeOut,
            repeatable=False,
            body={"overlap_hours": overlap_hours, "days": days},
        )

    async def revoke_key(self, key: str) -> None:
        """Revoke a key: it opens nothing any more. It stays listed, for the audit.

        ``DELETE /v1/keys/{key}``. An API key needs ``admin``.
        """
        await self._send("DELETE", f"/v1/keys/{segment(key)}", NoneType, repeatable=True)

    async def list_webhooks(self) -> m.Webhooks:
        """Stored webhooks; those of `ARCID_WEBHOOKS` are not among them.

        ``GET /v1/webhooks``. An API key needs ``admin``.
        """
        return await self._send("GET", "/v1/webhooks", m.Webhooks, repeatable=True)

    async def add_webhook(
        self,
        name: str,
        url: str,
        *,
        kinds: Sequence[str] | Omit | None = OMIT,
        secret: str | Omit | None = OMIT,
        enabled: bool | Omit = OMIT,
    ) -> m.WebhookMade:
        """Post events to an address, signed with a secret that is told once; 100 at most.

        ``POST /v1/webhooks``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            "/v1/webhooks",
            m.WebhookMade,
            repeatable=False,
            body={"name": name, "url": url, "kinds": kinds, "secret": secret, "enabled": enabled},
        )

    async def get_webhook(self, webhook: str) -> m.WebhookOut:
        """One webhook.

        ``GET /v1/webhooks/{webhook}``. An API key needs ``admin``.
        """
        return await self._send(
            "GET", f"/v1/webhooks/{segment(webhook)}", m.WebhookOut, repeatable=True
        )

    async def change_webhook(
        self,
        webhook: str,
        *,
        name: str | Omit | None = OMIT,
        url: str | Omit | None = OMIT,
        kinds: Sequence[str] | Literal["all"] | Omit | None = OMIT,
        enabled: bool | Omit | None = OMIT,
    ) -> m.WebhookOut:
        """Change a webhook; services follow within a second or two.

        ``PATCH /v1/webhooks/{webhook}``. An API key needs ``admin``.
        """
        return await self._send(
            "PATCH",
            f"/v1/webhooks/{segment(webhook)}",
            m.WebhookOut,
            repeatable=False,
            body={"name": name, "url": url, "kinds": kinds, "enabled": enabled},
        )

    async def delete_webhook(self, webhook: str) -> None:
        """Forget a webhook with all that waits for it.

        ``DELETE /v1/webhooks/{webhook}``. An API key needs ``admin``.
        """
        await self._send("DELETE", f"/v1/webhooks/{segment(webhook)}", NoneType, repeatable=True)

    async def rotate_webhook(
        self, webhook: str, *, secret: str | Omit | None = OMIT
    ) -> m.WebhookMade:
        """Another secret, told once; the one before signs nothing any more.

        ``POST /v1/webhooks/{webhook}/rotate``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            f"/v1/webhooks/{segment(webhook)}/rotate",
            m.WebhookMade,
            repeatable=False,
            body={"secret": secret},
        )

    async def test_webhook(self, webhook: str) -> m.TriedOut:
        """Post one signed message of the kind `test` now, and tell what the receiver answered.

        ``POST /v1/webhooks/{webhook}/test``. An API key needs ``admin``.
        """
        return await self._send(
            "POST", f"/v1/webhooks/{segment(webhook)}/test", m.TriedOut, repeatable=False
        )

    async def list_deliveries(self, webhook: str, *, limit: int | None = None) -> m.Deliveries:
        """What became of the newest events of the last 30 days for a webhook.

        ``GET /v1/webhooks/{webhook}/deliveries``. An API key needs ``admin``.
        """
        return await self._send(
            "GET",
            f"/v1/webhooks/{segment(webhook)}/deliveries",
            m.Deliveries,
            repeatable=True,
            query={"limit": limit},
        )

    async def upload_for_job(self, content: File) -> m.UploadOut:
        """Send a zip of photos, or a CSV, as the body itself (`curl --data-binary @photos.zip`);
        it is kept until its job ends, or for a day where none begins.

        ``POST /v1/jobs/uploads``. An API key needs ``enrol``.
        """
        return await self._send(
            "POST", "/v1/jobs/uploads", m.UploadOut, repeatable=False, content=content
        )

    async def delete_upload(self, upload_id: str) -> None:
        """Delete what was uploaded; where a job still needs it, that job is cancelled.

        ``DELETE /v1/jobs/uploads/{upload_id}``. An API key needs ``enrol``.
        """
        await self._send(
            "DELETE", f"/v1/jobs/uploads/{segment(upload_id)}", NoneType, repeatable=True
        )

    async def check_import(
        self,
        collection: str,
        *,
        upload: str | Omit | None = OMIT,
        folder: str | Omit | None = OMIT,
        list_upload: str | Omit | None = OMIT,
        select: Literal["prominent", "one", "largest", "center", "all"] | Omit = OMIT,
        require_quality: bool | Omit = OMIT,
        allow_duplicate: bool | Omit = OMIT,
        aligned: bool | Omit = OMIT,
        consent: m.JobsConsentIn | Omit | None = OMIT,
    ) -> m.PreviewOut:
        """What an import would take along and what not, and why; no photo is looked at.

        ``POST /v1/jobs/imports/check``. An API key needs ``enrol``.
        """
        return await self._send(
            "POST",
            "/v1/jobs/imports/check",
            m.PreviewOut,
            repeatable=False,
            body={
                "collection": collection,
                "upload": upload,
                "folder": folder,
                "list_upload": list_upload,
                "select": select,
                "require_quality": require_quality,
                "allow_duplicate": allow_duplicate,
                "aligned": aligned,
                "consent": consent,
            },
        )

    async def begin_import(
        self,
        collection: str,
        *,
        upload: str | Omit | None = OMIT,
        folder: str | Omit | None = OMIT,
        list_upload: str | Omit | None = OMIT,
        select: Literal["prominent", "one", "largest", "center", "all"] | Omit = OMIT,
        require_quality: bool | Omit = OMIT,
        allow_duplicate: bool | Omit = OMIT,
        aligned: bool | Omit = OMIT,
        consent: m.JobsConsentIn | Omit | None = OMIT,
    ) -> m.JobOut:
        """Import photos of many people: an uploaded zip, or a folder on the service's machine.

        ``POST /v1/jobs/imports``. An API key needs ``enrol``.
        """
        return await self._send(
            "POST",
            "/v1/jobs/imports",
            m.JobOut,
            repeatable=False,
            body={
                "collection": collection,
                "upload": upload,
                "folder": folder,
                "list_upload": list_upload,
                "select": select,
                "require_quality": require_quality,
                "allow_duplicate": allow_duplicate,
                "aligned": aligned,
                "consent": consent,
            },
        )

    async def begin_deletion(self, collection: str, people: Sequence[str]) -> m.JobOut:
        """Delete many people with all that is kept of them; each leaves a receipt.

        ``POST /v1/jobs/deletions``. An API key needs ``delete``.
        """
        return await self._send(
            "POST",
            "/v1/jobs/deletions",
            m.JobOut,
            repeatable=False,
            body={"collection": collection, "people": people},
        )

    async def begin_reembedding(self, collection: str) -> m.JobOut:
        """Embed the kept crops with the service's model, beside the vectors that are there.

        ``POST /v1/jobs/reembeddings``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            "/v1/jobs/reembeddings",
            m.JobOut,
            repeatable=False,
            body={"collection": collection},
        )

    async def begin_duplicates(
        self,
        collection: str,
        *,
        other: str | Omit | None = OMIT,
        since_last: bool | Omit = OMIT,
        false_pairs: float | Omit = OMIT,
        allow_extrapolation: bool | Omit = OMIT,
    ) -> m.JobOut:
        """Compare everybody with everybody: a job that stands for a run of
        `/v1/collections/{collection}/duplicates/runs`.

        ``POST /v1/jobs/duplicates``. An API key needs ``search``.
        """
        return await self._send(
            "POST",
            "/v1/jobs/duplicates",
            m.JobOut,
            repeatable=False,
            body={
                "collection": collection,
                "other": other,
                "since_last": since_last,
                "false_pairs": false_pairs,
                "allow_extrapolation": allow_extrapolation,
            },
        )

    async def list_jobs(self, *, limit: int | None = None, after: str | None = None) -> m.JobsOut:
        """Jobs of the collections that the key may see, newest first.

        ``GET /v1/jobs``. An API key needs ``read``.
        """
        return await self._send(
            "GET", "/v1/jobs", m.JobsOut, repeatable=True, query={"limit": limit, "after": after}
        )

    def iter_jobs(self, *, limit: int | None = None) -> AsyncIterator[m.JobOut]:
        """Every row of ``list_jobs``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_jobs(limit=limit, after=after), lambda page: page.jobs
        )

    async def get_job(self, job_id: str) -> m.JobOut:
        """How far a job is.

        ``GET /v1/jobs/{job_id}``. An API key needs ``read``.
        """
        return await self._send("GET", f"/v1/jobs/{segment(job_id)}", m.JobOut, repeatable=True)

    async def job_report(
        self, job_id: str, *, format: Literal["csv", "json"] | None = None
    ) -> bytes:
        """Every item that was refused, and why.

        ``GET /v1/jobs/{job_id}/report``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/jobs/{segment(job_id)}/report",
            bytes,
            repeatable=True,
            query={"format": format},
        )

    async def stop_job(self, job_id: str) -> m.JobOut:
        """Stop a job; what is done stays, and `resume` goes on. Needs what beginning it needs.

        ``POST /v1/jobs/{job_id}/stop``. An API key needs ``read``.
        """
        return await self._send(
            "POST", f"/v1/jobs/{segment(job_id)}/stop", m.JobOut, repeatable=False
        )

    async def resume_job(self, job_id: str) -> m.JobOut:
        """Go on with a job that was stopped, failed or cut off.

        ``POST /v1/jobs/{job_id}/resume``. An API key needs ``read``.
        """
        return await self._send(
            "POST", f"/v1/jobs/{segment(job_id)}/resume", m.JobOut, repeatable=False
        )

    async def cancel_job(self, job_id: str) -> m.JobOut:
        """End a job for good: what is done stays done, what was uploaded for it is deleted.

        ``POST /v1/jobs/{job_id}/cancel``. An API key needs ``read``.
        """
        return await self._send(
            "POST", f"/v1/jobs/{segment(job_id)}/cancel", m.JobOut, repeatable=False
        )

    async def start_onboarding(
        self, collection: str, *, reference: str | Omit = OMIT, rules: m.RulesIn | Omit = OMIT
    ) -> m.StartedOut:
        """A session for one applicant, and the link that is theirs.

        ``POST /v1/collections/{collection}/onboarding``. An API key needs ``enrol``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/onboarding",
            m.StartedOut,
            repeatable=False,
            body={"reference": reference, "rules": rules},
        )

    async def list_onboarding(
        self,
        collection: str,
        *,
        state: Sequence[
            Literal[
                "started",
                "consented",
                "documented",
                "review",
                "accepted",
                "rejected",
                "expired",
                "withdrawn",
            ]
        ]
        | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.SessionsOut:
        """Sessions and cases.

        ``GET /v1/collections/{collection}/onboarding``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/onboarding",
            m.SessionsOut,
            repeatable=True,
            query={"state": state, "limit": limit, "after": after},
        )

    def iter_onboarding(
        self,
        collection: str,
        *,
        state: Sequence[
            Literal[
                "started",
                "consented",
                "documented",
                "review",
                "accepted",
                "rejected",
                "expired",
                "withdrawn",
            ]
        ]
        | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[m.SessionOut]:
        """Every row of ``list_onboarding``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_onboarding(
                collection=collection, state=state, limit=limit, after=after
            ),
            lambda page: page.sessions,
        )

    async def onboarding_key(self, collection: str) -> m.OnboardingKeyOut:
        """Which key signs this service's evidence.

        ``GET /v1/collections/{collection}/onboarding/key``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/onboarding/key",
            m.OnboardingKeyOut,
            repeatable=True,
        )

    async def get_onboarding(self, collection: str, session_id: str) -> m.SessionOut:
        """One session with what was looked at; looking is audited.

        ``GET /v1/collections/{collection}/onboarding/{session_id}``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/onboarding/{segment(session_id)}",
            m.SessionOut,
            repeatable=True,
        )

    async def forget_onboarding(self, collection: str, session_id: str) -> Erased:
        """Erase a session with everything of it; who was enrolled stays.

        ``DELETE /v1/collections/{collection}/onboarding/{session_id}``. An API key needs
        ``delete``.
        """
        return await self._send(
            "DELETE",
            f"/v1/collections/{segment(collection)}/onboarding/{segment(session_id)}",
            Erased,
            repeatable=True,
        )

    async def onboarding_picture(
        self, collection: str, session_id: str, role: Literal["document", "selfie"]
    ) -> bytes:
        """JPEG of the document's portrait or of the selfie; looking is audited.

        ``GET /v1/collections/{collection}/onboarding/{session_id}/pictures/{role}``. An API key
        needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/onboarding/{segment(session_id)}/pictures/{segment(role)}",
            bytes,
            repeatable=True,
        )

    async def onboarding_evidence(self, collection: str, session_id: str) -> dict[str, Any]:
        """The signed file of a decided case; `arcid onboarding verify FILE` checks it offline.

        ``GET /v1/collections/{collection}/onboarding/{session_id}/evidence``. An API key needs
        ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/onboarding/{segment(session_id)}/evidence",
            dict,
            repeatable=True,
        )

    async def answer_onboarding(
        self,
        collection: str,
        session_id: str,
        outcome: Literal["accepted", "rejected"],
        *,
        actor: str | Omit = OMIT,
        note: str | Omit = OMIT,
    ) -> m.SessionOut:
        """A human's word, also over what arcid decided. The same again changes nothing.

        ``POST /v1/collections/{collection}/onboarding/{session_id}/answer``. An API key needs
        ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/onboarding/{segment(session_id)}/answer",
            m.SessionOut,
            repeatable=False,
            body={"outcome": outcome, "actor": actor, "note": note},
        )

    async def undo_onboarding(
        self, collection: str, session_id: str, *, actor: str | Omit = OMIT
    ) -> m.SessionOut:
        """Take the newest word of a human back; who was enrolled by it is not any more.

        ``POST /v1/collections/{collection}/onboarding/{session_id}/undo``. An API key needs
        ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/onboarding/{segment(session_id)}/undo",
            m.SessionOut,
            repeatable=False,
            body={"actor": actor},
        )

    async def authenticate_person(
        self, collection: str, person_id: str, image: Photo, *, fmr: float | None = None
    ) -> m.AuthenticatedOut:
        """Is the living face of a photo taken now this person? Locks the person after failed
        tries.

        ``POST /v1/collections/{collection}/people/{person_id}/authenticate``. An API key needs
        ``search``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/authenticate",
            m.AuthenticatedOut,
            repeatable=False,
            form={"fmr": fmr},
            photos={"image": image},
        )

    async def unlock_person(self, collection: str, person_id: str) -> None:
        """Forgive a person's failed tries to authenticate.

        ``POST /v1/collections/{collection}/people/{person_id}/unlock``. An API key needs
        ``decide``.
        """
        await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/unlock",
            NoneType,
            repeatable=False,
        )

    async def applicant_session(self, onboarding_token: str) -> m.ApplicantOut:
        """Where the session stands; the way back into one that was left.

        ``GET /onboarding/session``.
        """
        return await self._send(
            "GET",
            "/onboarding/session",
            m.ApplicantOut,
            repeatable=True,
            headers={"X-Onboarding-Token": onboarding_token},
        )

    async def applicant_consent(
        self,
        onboarding_token: str,
        version: str,
        name: str,
        *,
        birth_date: date | Omit | None = OMIT,
    ) -> m.ApplicantOut:
        """Consent to the text of that version, and who consents.

        ``POST /onboarding/session/consent``.
        """
        return await self._send(
            "POST",
            "/onboarding/session/consent",
            m.ApplicantOut,
            repeatable=False,
            headers={"X-Onboarding-Token": onboarding_token},
            body={"version": version, "name": name, "birth_date": birth_date},
        )

    async def applicant_withdraw(self, onboarding_token: str) -> m.ApplicantOut:
        """Take consent back before a decision: everything is erased at once.

        ``POST /onboarding/session/withdraw``.
        """
        return await self._send(
            "POST",
            "/onboarding/session/withdraw",
            m.ApplicantOut,
            repeatable=False,
            headers={"X-Onboarding-Token": onboarding_token},
        )

    async def applicant_document(
        self,
        onboarding_token: str,
        image: Photo,
        *,
        back: Photo | None = None,
        zone: str | None = None,
    ) -> m.ApplicantOut:
        """A photo of the document's page with the portrait. The machine-readable zone is read in
        the pictures where `arcid[mrz]` is installed.

        ``POST /onboarding/session/document``.
        """
        return await self._send(
            "POST",
            "/onboarding/session/document",
            m.ApplicantOut,
            repeatable=False,
            headers={"X-Onboarding-Token": onboarding_token},
            form={"zone": zone},
            photos={"image": image, "back": back},
        )

    async def applicant_selfie(self, onboarding_token: str, image: Photo) -> m.ApplicantOut:
        """A picture of the face, where no camera can be used; a human then decides.

        ``POST /onboarding/session/selfie``.
        """
        return await self._send(
            "POST",
            "/onboarding/session/selfie",
            m.ApplicantOut,
            repeatable=False,
            headers={"X-Onboarding-Token": onboarding_token},
            photos={"image": image},
        )

    async def lock_all_down(self, *, reason: str | Omit = OMIT) -> None:
        """Lock every door down: nobody is let in, by hand neither, until it is lifted.

        ``POST /v1/doors/lockdown``. An API key needs ``doors``.
        """
        await self._send(
            "POST", "/v1/doors/lockdown", NoneType, repeatable=False, body={"reason": reason}
        )

    async def lift_all(self) -> None:
        """End every lock-down.

        ``DELETE /v1/doors/lockdown``. An API key needs ``doors``.
        """
        await self._send("DELETE", "/v1/doors/lockdown", NoneType, repeatable=True)

    async def open_door(
        self,
        door_id: str,
        reason: str,
        *,
        idempotency_key: str | None = None,
        actor: str | Omit = OMIT,
    ) -> m.OpeningOut:
        """Open a door once, by hand; logged with its reason. Waits for what becomes of it.

        ``POST /v1/doors/{door_id}/open``. An API key needs ``doors``.
        """
        return await self._send(
            "POST",
            f"/v1/doors/{segment(door_id)}/open",
            m.OpeningOut,
            repeatable=False,
            body={"reason": reason, "actor": actor},
            once=idempotency_key or "",
        )

    async def lock_door_down(self, door_id: str, *, reason: str | Omit = OMIT) -> None:
        """Lock one door down.

        ``POST /v1/doors/{door_id}/lockdown``. An API key needs ``doors``.
        """
        await self._send(
            "POST",
            f"/v1/doors/{segment(door_id)}/lockdown",
            NoneType,
            repeatable=False,
            body={"reason": reason},
        )

    async def lift_door(self, door_id: str) -> None:
        """End a door's lock-down.

        ``DELETE /v1/doors/{door_id}/lockdown``. An API key needs ``doors``.
        """
        await self._send(
            "DELETE", f"/v1/doors/{segment(door_id)}/lockdown", NoneType, repeatable=True
        )

    async def tell_contact(self, door_id: str, open: bool | None) -> None:
        """Whether a door's contact says that it is open: it may be forced or held open, and others
        may wait for it to be shut.

        ``POST /v1/doors/{door_id}/contact``. An API key needs ``doors``.
        """
        await self._send(
            "POST",
            f"/v1/doors/{segment(door_id)}/contact",
            NoneType,
            repeatable=False,
            body={"open": open},
        )

    async def tell_exit(self, door_id: str) -> None:
        """Somebody inside asks to leave: the door is not forced when it opens now. Opens nothing.

        ``POST /v1/doors/{door_id}/exit``. An API key needs ``doors``.
        """
        await self._send("POST", f"/v1/doors/{segment(door_id)}/exit", NoneType, repeatable=False)

    async def acknowledge_alarm(self, door_id: str) -> None:
        """A door's alarm was seen; audited.

        ``POST /v1/doors/{door_id}/acknowledge``. An API key needs ``doors``.
        """
        await self._send(
            "POST", f"/v1/doors/{segment(door_id)}/acknowledge", NoneType, repeatable=False
        )

    async def tell_duress(self, door_id: str) -> None:
        """A duress code was typed, or an alarm button pressed, beside a door.

        ``POST /v1/doors/{door_id}/duress``. An API key needs ``doors``.
        """
        await self._send("POST", f"/v1/doors/{segment(door_id)}/duress", NoneType, repeatable=False)

    async def list_passages(
        self,
        door_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.PassageList:
        """What a door answered, a page at a time: who, why, and what became of it.

        ``GET /v1/doors/{door_id}/passages``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/doors/{segment(door_id)}/passages",
            m.PassageList,
            repeatable=True,
            query={"since": since, "until": until, "limit": limit, "after": after},
        )

    def iter_passages(
        self,
        door_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[m.PassageOut]:
        """Every row of ``list_passages``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_passages(
                door_id=door_id, since=since, until=until, limit=limit, after=after
            ),
            lambda page: page.passages,
        )

    async def list_doors(self) -> m.DoorList:
        """Doors by name with how they stand.

        ``GET /v1/doors``. An API key needs ``read``.
        """
        return await self._send("GET", "/v1/doors", m.DoorList, repeatable=True)

    async def add_door(
        self,
        name: str,
        collection: str,
        *,
        camera: str | Omit | None = OMIT,
        output: str | Omit | None = OMIT,
        enabled: bool | Omit | None = OMIT,
        release_s: float | Omit | None = OMIT,
        shuts_s: float | Omit | None = OMIT,
        held_s: float | Omit | None = OMIT,
        near: float | Omit | None = OMIT,
        fpir: float | Omit | None = OMIT,
        looks: int | Omit | None = OMIT,
        liveness: bool | Omit | None = OMIT,
        two_person: bool | Omit | None = OMIT,
        two_person_s: float | Omit | None = OMIT,
        passback: Literal["off", "soft", "hard", "timed"] | Omit | None = OMIT,
        passback_s: float | Omit | None = OMIT,
        from_area: str | Omit | None = OMIT,
        to_area: str | Omit | None = OMIT,
        interlock: Sequence[str] | Omit | None = OMIT,
        duress: Literal["open", "refuse"] | Omit | None = OMIT,
        fresh_s: float | Omit | None = OMIT,
        offline_s: float | Omit | None = OMIT,
        keep_days: float | Omit | None = OMIT,
    ) -> m.DoorOut:
        """Set a door up. Nobody may pass it until a rule says so.

        ``POST /v1/doors``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            "/v1/doors",
            m.DoorOut,
            repeatable=False,
            body={
                "camera": camera,
                "output": output,
                "enabled": enabled,
                "release_s": release_s,
                "shuts_s": shuts_s,
                "held_s": held_s,
                "near": near,
                "fpir": fpir,
                "looks": looks,
                "liveness": liveness,
                "two_person": two_person,
                "two_person_s": two_person_s,
                "passback": passback,
                "passback_s": passback_s,
                "from_area": from_area,
                "to_area": to_area,
                "interlock": interlock,
                "duress": duress,
                "fresh_s": fresh_s,
                "offline_s": offline_s,
                "keep_days": keep_days,
                "name": name,
                "collection": collection,
            },
        )

    async def get_door(self, door_id: str) -> m.DoorOut:
        """One door, how it stands and what it answered last.

        ``GET /v1/doors/{door_id}``. An API key needs ``read``.
        """
        return await self._send("GET", f"/v1/doors/{segment(door_id)}", m.DoorOut, repeatable=True)

    async def change_door(
        self,
        door_id: str,
        *,
        camera: str | Omit | None = OMIT,
        output: str | Omit | None = OMIT,
        enabled: bool | Omit | None = OMIT,
        release_s: float | Omit | None = OMIT,
        shuts_s: float | Omit | None = OMIT,
        held_s: float | Omit | None = OMIT,
        near: float | Omit | None = OMIT,
        fpir: float | Omit | None = OMIT,
        looks: int | Omit | None = OMIT,
        liveness: bool | Omit | None = OMIT,
        two_person: bool | Omit | None = OMIT,
        two_person_s: float | Omit | None = OMIT,
        passback: Literal["off", "soft", "hard", "timed"] | Omit | None = OMIT,
        passback_s: float | Omit | None = OMIT,
        from_area: str | Omit | None = OMIT,
        to_area: str | Omit | None = OMIT,
        interlock: Sequence[str] | Omit | None = OMIT,
        duress: Literal["open", "refuse"] | Omit | None = OMIT,
        fresh_s: float | Omit | None = OMIT,
        offline_s: float | Omit | None = OMIT,
        keep_days: float | Omit | None = OMIT,
        name: str | Omit | None = OMIT,
    ) -> m.DoorOut:
        """Change a door.

        ``PATCH /v1/doors/{door_id}``. An API key needs ``admin``.
        """
        return await self._send(
            "PATCH",
            f"/v1/doors/{segment(door_id)}",
            m.DoorOut,
            repeatable=False,
            body={
                "camera": camera,
                "output": output,
                "enabled": enabled,
                "release_s": release_s,
                "shuts_s": shuts_s,
                "held_s": held_s,
                "near": near,
                "fpir": fpir,
                "looks": looks,
                "liveness": liveness,
                "two_person": two_person,
                "two_person_s": two_person_s,
                "passback": passback,
                "passback_s": passback_s,
                "from_area": from_area,
                "to_area": to_area,
                "interlock": interlock,
                "duress": duress,
                "fresh_s": fresh_s,
                "offline_s": offline_s,
                "keep_days": keep_days,
                "name": name,
            },
        )

    async def delete_door(self, door_id: str) -> None:
        """Take a door away; its passages are kept for as long as it said.

        ``DELETE /v1/doors/{door_id}``. An API key needs ``admin``.
        """
        await self._send("DELETE", f"/v1/doors/{segment(door_id)}", NoneType, repeatable=True)

    async def list_door_groups(self, collection: str) -> m.GroupList:
        """Groups with their members.

        ``GET /v1/collections/{collection}/door-groups``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/door-groups",
            m.GroupList,
            repeatable=True,
        )

    async def add_door_group(self, collection: str, name: str) -> m.GroupIn:
        """Make a group.

        ``POST /v1/collections/{collection}/door-groups``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/door-groups",
            m.GroupIn,
            repeatable=False,
            body={"name": name},
        )

    async def delete_door_group(self, collection: str, name: str) -> None:
        """Take a group away: its members pass by it no more.

        ``DELETE /v1/collections/{collection}/door-groups/{name}``. An API key needs ``admin``.
        """
        await self._send(
            "DELETE",
            f"/v1/collections/{segment(collection)}/door-groups/{segment(name)}",
            NoneType,
            repeatable=True,
        )

    async def join_door_group(
        self,
        collection: str,
        name: str,
        person_id: str,
        *,
        valid_from: datetime | Omit | None = OMIT,
        valid_until: datetime | Omit | None = OMIT,
    ) -> None:
        """Put somebody in a group, or change for how long.

        ``PUT /v1/collections/{collection}/door-groups/{name}/members/{person_id}``. An API key
        needs ``admin``.
        """
        await self._send(
            "PUT",
            f"/v1/collections/{segment(collection)}/door-groups/{segment(name)}/members/{segment(person_id)}",
            NoneType,
            repeatable=True,
            body={"valid_from": valid_from, "valid_until": valid_until},
        )

    async def leave_door_group(self, collection: str, name: str, person_id: str) -> None:
        """Take somebody out of a group.

        ``DELETE /v1/collections/{collection}/door-groups/{name}/members/{person_id}``. An API
        key needs ``admin``.
        """
        await self._send(
            "DELETE",
            f"/v1/collections/{segment(collection)}/door-groups/{segment(name)}/members/{segment(person_id)}",
            NoneType,
            repeatable=True,
        )

    async def list_door_schedules(self, collection: str) -> m.ScheduleList:
        """Schedules and their hours.

        ``GET /v1/collections/{collection}/door-schedules``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/collections/{segment(collection)}/door-schedules",
            m.ScheduleList,
            repeatable=True,
        )

    async def add_door_schedule(
        self, collection: str, name: str, hours: str, *, zone: str | Omit = OMIT
    ) -> m.ScheduleIn:
        """Make a schedule.

        ``POST /v1/collections/{collection}/door-schedules``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/door-schedules",
            m.ScheduleIn,
            repeatable=False,
            body={"name": name, "hours": hours, "zone": zone},
        )

    async def delete_door_schedule(self, collection: str, name: str) -> None:
        """Take a schedule away, and the rules that go by it.

        ``DELETE /v1/collections/{collection}/door-schedules/{name}``. An API key needs
        ``admin``.
        """
        await self._send(
            "DELETE",
            f"/v1/collections/{segment(collection)}/door-schedules/{segment(name)}",
            NoneType,
            repeatable=True,
        )

    async def list_door_holidays(self) -> m.HolidayList:
        """Days on which only hours of holidays count.

        ``GET /v1/door-holidays``. An API key needs ``read``.
        """
        return await self._send("GET", "/v1/door-holidays", m.HolidayList, repeatable=True)

    async def add_door_holiday(self, day: date, *, name: str | Omit = OMIT) -> None:
        """Add a holiday, or rename it.

        ``PUT /v1/door-holidays/{day}``. An API key needs ``admin``.
        """
        await self._send(
            "PUT",
            f"/v1/door-holidays/{segment(day)}",
            NoneType,
            repeatable=True,
            body={"name": name},
        )

    async def delete_door_holiday(self, day: date) -> None:
        """Take a holiday away.

        ``DELETE /v1/door-holidays/{day}``. An API key needs ``admin``.
        """
        await self._send("DELETE", f"/v1/door-holidays/{segment(day)}", NoneType, repeatable=True)

    async def list_door_rules(self, door_id: str) -> m.RuleList:
        """Which groups may pass a door, and when.

        ``GET /v1/doors/{door_id}/rules``. An API key needs ``read``.
        """
        return await self._send(
            "GET", f"/v1/doors/{segment(door_id)}/rules", m.RuleList, repeatable=True
        )

    async def add_door_rule(
        self, door_id: str, group: str, *, schedule: str | Omit | None = OMIT
    ) -> None:
        """Let a group pass a door.

        ``POST /v1/doors/{door_id}/rules``. An API key needs ``admin``.
        """
        await self._send(
            "POST",
            f"/v1/doors/{segment(door_id)}/rules",
            NoneType,
            repeatable=False,
            body={"group": group, "schedule": schedule},
        )

    async def delete_door_rule(
        self, door_id: str, group: str, *, schedule: str | Omit | None = OMIT
    ) -> None:
        """Take a rule back.

        ``POST /v1/doors/{door_id}/rules/delete``. An API key needs ``admin``.
        """
        await self._send(
            "POST",
            f"/v1/doors/{segment(door_id)}/rules/delete",
            NoneType,
            repeatable=False,
            body={"group": group, "schedule": schedule},
        )

    async def forgive_person(self, collection: str, person_id: str) -> None:
        """Forget where somebody is, so that anti-passback lets them through once.

        ``POST /v1/collections/{collection}/people/{person_id}/forgive``. An API key needs
        ``doors``.
        """
        await self._send(
            "POST",
            f"/v1/collections/{segment(collection)}/people/{segment(person_id)}/forgive",
            NoneType,
            repeatable=False,
        )

    async def list_watchlists(
        self, *, limit: int | None = None, after: str | None = None
    ) -> m.WatchlistsOut:
        """All lists, expired ones too.

        ``GET /v1/watchlists``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            "/v1/watchlists",
            m.WatchlistsOut,
            repeatable=True,
            query={"limit": limit, "after": after},
        )

    def iter_watchlists(self, *, limit: int | None = None) -> AsyncIterator[m.WatchlistOut]:
        """Every row of ``list_watchlists``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_watchlists(limit=limit, after=after),
            lambda page: page.watchlists,
        )

    async def create_watchlist(
        self,
        name: str,
        collection: str,
        purpose: str,
        legal_basis: str,
        owner: str,
        expires_at: datetime,
        *,
        actor: str | Omit = OMIT,
        roles: Sequence[str] | Omit = OMIT,
        accounts: Sequence[str] | Omit = OMIT,
        cameras: Sequence[str] | Omit = OMIT,
        four_eyes: bool | Omit = OMIT,
        false_alerts_per_hour: float | Omit = OMIT,
        reviews_per_hour: float | Omit = OMIT,
        confirm_looks: int | Omit = OMIT,
        cooldown_s: float | Omit = OMIT,
        keep_days: int | Omit = OMIT,
        strangers: Literal["nothing", "vector", "crop"] | Omit = OMIT,
    ) -> m.WatchlistOut:
        """A list, nobody on it yet.

        ``POST /v1/watchlists``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            "/v1/watchlists",
            m.WatchlistOut,
            repeatable=False,
            body={
                "name": name,
                "collection": collection,
                "actor": actor,
                "purpose": purpose,
                "legal_basis": legal_basis,
                "owner": owner,
                "expires_at": expires_at,
                "roles": roles,
                "accounts": accounts,
                "cameras": cameras,
                "four_eyes": four_eyes,
                "false_alerts_per_hour": false_alerts_per_hour,
                "reviews_per_hour": reviews_per_hour,
                "confirm_looks": confirm_looks,
                "cooldown_s": cooldown_s,
                "keep_days": keep_days,
                "strangers": strangers,
            },
        )

    async def get_watchlist(self, watchlist: str) -> m.WatchlistOut:
        """One list.

        ``GET /v1/watchlists/{watchlist}``. An API key needs ``read``.
        """
        return await self._send(
            "GET", f"/v1/watchlists/{segment(watchlist)}", m.WatchlistOut, repeatable=True
        )

    async def change_watchlist(
        self,
        watchlist: str,
        *,
        actor: str | Omit = OMIT,
        name: str | Omit | None = OMIT,
        purpose: str | Omit | None = OMIT,
        legal_basis: str | Omit | None = OMIT,
        owner: str | Omit | None = OMIT,
        expires_at: datetime | Omit | None = OMIT,
        roles: Sequence[str] | Omit | None = OMIT,
        accounts: Sequence[str] | Omit | None = OMIT,
        cameras: Sequence[str] | Omit | None = OMIT,
        four_eyes: bool | Omit | None = OMIT,
        false_alerts_per_hour: float | Omit | None = OMIT,
        reviews_per_hour: float | Omit | None = OMIT,
        confirm_looks: int | Omit | None = OMIT,
        cooldown_s: float | Omit | None = OMIT,
        keep_days: int | Omit | None = OMIT,
        strangers: Literal["nothing", "vector", "crop"] | Omit | None = OMIT,
    ) -> m.WatchlistOut:
        """Change what is given; cameras that watch follow within seconds.

        ``PATCH /v1/watchlists/{watchlist}``. An API key needs ``admin``.
        """
        return await self._send(
            "PATCH",
            f"/v1/watchlists/{segment(watchlist)}",
            m.WatchlistOut,
            repeatable=False,
            body={
                "actor": actor,
                "name": name,
                "purpose": purpose,
                "legal_basis": legal_basis,
                "owner": owner,
                "expires_at": expires_at,
                "roles": roles,
                "accounts": accounts,
                "cameras": cameras,
                "four_eyes": four_eyes,
                "false_alerts_per_hour": false_alerts_per_hour,
                "reviews_per_hour": reviews_per_hour,
                "confirm_looks": confirm_looks,
                "cooldown_s": cooldown_s,
                "keep_days": keep_days,
                "strangers": strangers,
            },
        )

    async def delete_watchlist(self, watchlist: str, *, actor: str | None = None) -> Erased:
        """Erase a list with its alerts and the faces behind them; its people stay enrolled.

        ``DELETE /v1/watchlists/{watchlist}``. An API key needs ``delete``.
        """
        return await self._send(
            "DELETE",
            f"/v1/watchlists/{segment(watchlist)}",
            Erased,
            repeatable=True,
            query={"actor": actor},
        )

    async def expire_watchlist(self, watchlist: str, *, actor: str | None = None) -> m.WatchlistOut:
        """End a list now: it matches nobody from here on.

        ``POST /v1/watchlists/{watchlist}/expire``. An API key needs ``admin``.
        """
        return await self._send(
            "POST",
            f"/v1/watchlists/{segment(watchlist)}/expire",
            m.WatchlistOut,
            repeatable=False,
            query={"actor": actor},
        )

    async def watchlist_budget(self, watchlist: str, *, camera: str | None = None) -> m.BudgetOut:
        """Thresholds of a list now, by its size and the faces that a camera sees, and what to
        expect of them. To a key limited to some collections, cameras of others are unknown.

        ``GET /v1/watchlists/{watchlist}/budget``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/watchlists/{segment(watchlist)}/budget",
            m.BudgetOut,
            repeatable=True,
            query={"camera": camera},
        )

    async def watchlist_people(
        self, watchlist: str, *, limit: int | None = None, after: str | None = None
    ) -> m.MembersOut:
        """Who is on a list.

        ``GET /v1/watchlists/{watchlist}/people``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            f"/v1/watchlists/{segment(watchlist)}/people",
            m.MembersOut,
            repeatable=True,
            query={"limit": limit, "after": after},
        )

    def iter_watchlist_people(
        self, watchlist: str, *, limit: int | None = None
    ) -> AsyncIterator[m.WatchlistsMemberOut]:
        """Every row of ``watchlist_people``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.watchlist_people(watchlist=watchlist, limit=limit, after=after),
            lambda page: page.people,
        )

    async def put_on_watchlist(
        self, watchlist: str, person_id: str, *, actor: str | Omit = OMIT, reason: str | Omit = OMIT
    ) -> None:
        """Put a person of the list's collection on it; they may be on it already.

        ``PUT /v1/watchlists/{watchlist}/people/{person_id}``. An API key needs ``enrol``.
        """
        await self._send(
            "PUT",
            f"/v1/watchlists/{segment(watchlist)}/people/{segment(person_id)}",
            NoneType,
            repeatable=True,
            body={"actor": actor, "reason": reason},
        )

    async def take_off_watchlist(
        self, watchlist: str, person_id: str, *, actor: str | None = None
    ) -> None:
        """Take a person off a list; their alerts stay.

        ``DELETE /v1/watchlists/{watchlist}/people/{person_id}``. An API key needs ``enrol``.
        """
        await self._send(
            "DELETE",
            f"/v1/watchlists/{segment(watchlist)}/people/{segment(person_id)}",
            NoneType,
            repeatable=True,
            query={"actor": actor},
        )

    async def list_alerts(
        self,
        *,
        watchlist: str | None = None,
        state: Sequence[Literal["new", "acknowledged", "confirmed", "dismissed", "escalated"]]
        | None = None,
        level: Sequence[Literal["alert", "review"]] | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> m.AlertsOut:
        """What cameras raised.

        ``GET /v1/alerts``. An API key needs ``read``.
        """
        return await self._send(
            "GET",
            "/v1/alerts",
            m.AlertsOut,
            repeatable=True,
            query={
                "watchlist": watchlist,
                "state": state,
                "level": level,
                "limit": limit,
                "after": after,
            },
        )

    def iter_alerts(
        self,
        *,
        watchlist: str | None = None,
        state: Sequence[Literal["new", "acknowledged", "confirmed", "dismissed", "escalated"]]
        | None = None,
        level: Sequence[Literal["alert", "review"]] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[m.AlertOut]:
        """Every row of ``list_alerts``, fetched a page of ``limit`` rows at a time."""
        return self._rows(
            lambda after: self.list_alerts(
                watchlist=watchlist, state=state, level=level, limit=limit, after=after
            ),
            lambda page: page.alerts,
        )

    async def get_alert(self, alert_id: str) -> m.AlertOut:
        """One alert.

        ``GET /v1/alerts/{alert_id}``. An API key needs ``read``.
        """
        return await self._send(
            "GET", f"/v1/alerts/{segment(alert_id)}", m.AlertOut, repeatable=True
        )

    async def alert_face(self, alert_id: str) -> bytes:
        """PNG of the aligned face that the alert was raised about; the audit notes who looked.

        ``GET /v1/alerts/{alert_id}/face``. An API key needs ``read``.
        """
        return await self._send(
            "GET", f"/v1/alerts/{segment(alert_id)}/face", bytes, repeatable=True
        )

    async def answer_alert(
        self,
        alert_id: str,
        answer: Literal["acknowledge", "confirm", "dismiss", "escalate"],
        *,
        actor: str | Omit = OMIT,
        note: str | Omit = OMIT,
    ) -> m.AlertOut:
        """A human's word. The same again changes nothing; another answer is refused until it is
        taken back.

        ``POST /v1/alerts/{alert_id}/answer``. An API key needs ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/alerts/{segment(alert_id)}/answer",
            m.AlertOut,
            repeatable=False,
            body={"answer": answer, "actor": actor, "note": note},
        )

    async def undo_alert(
        self, alert_id: str, *, actor: str | Omit = OMIT, note: str | Omit = OMIT
    ) -> m.AlertOut:
        """Take the newest answer back; after a dismissal the face may alert again.

        ``POST /v1/alerts/{alert_id}/undo``. An API key needs ``decide``.
        """
        return await self._send(
            "POST",
            f"/v1/alerts/{segment(alert_id)}/undo",
            m.AlertOut,
            repeatable=False,
            body={"actor": actor, "note": note},
        )


__all__ = ["AsyncClient"]
