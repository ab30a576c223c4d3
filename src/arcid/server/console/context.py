"""What a page of the console is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from arcid.apps.access import Doorman
from arcid.cameras.watching import Cameras
from arcid.errors import SeveralFacesFound
from arcid.events import acting
from arcid.gallery import Gallery
from arcid.gallery.store.policies import viewing
from arcid.results import Face, Faces, Identified, Verification
from arcid.server.console.auth.account import Account
from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.auth.roles import Permission
from arcid.server.console.auth.session import Session, Sessions
from arcid.server.console.live.feeds import Feed, Feeds
from arcid.server.console.photos import Photos
from arcid.server.deps import Services
from arcid.types import Selection

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConsoleContext:
    """Whose session asks for a page, and the parts of the service that pages use."""

    session: Session
    services: Services
    sessions: Sessions
    photos: Photos
    feeds: Feeds
    last_collection: dict[str, str]  # account to collection last looked at, ids
    address: str = ""  # of the browser

    @property
    def account(self) -> Account:
        """As it was when the page was asked for."""
        return self.session.account

    @property
    def accounts(self) -> Accounts:
        return self.session.accounts

    @property
    def cameras(self) -> Cameras:
        return self.services.cameras

    @property
    def doorman(self) -> Doorman:
        return self.services.doorman

    @property
    def gallery(self) -> Gallery:
        return self.services.gallery

    def may(self, permission: Permission) -> bool:
        """For what to show; ``allow`` is what protects."""
        return self.account.may(permission)

    async def allow(self, permission: Permission) -> Account:
        """The account as it is now; raises ``SignedOut`` or ``NotAllowed`` if it may not."""
        return await self.session.allow(permission)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A blocking call in a thread of those that may wait for the gallery, which session checks
        do not need. Raises ``Overloaded``."""
        who = acting(f"account:{self.account.id}", self.address)
        with who, viewing(self.account.role):
            return await self.services.writes.run(call, *args, **kwargs)

    def looked(self, verb: str, subject: str, collection: str) -> None:
        """Note for the audit what this account is shown. Raises ``Overloaded``."""
        with acting(f"account:{self.account.id}", self.address):
            self.services.looks.note(verb, subject, collection)

    def searched(self, collection: str, found: Sequence[Identified], fpir: float) -> None:
        """The same of a search by photo."""
        with acting(f"account:{self.account.id}", self.address):
            self.services.looks.searched("photo", collection, found, fpir)

    def compared(self, found: Verification) -> None:
        """The same of two photos."""
        with acting(f"account:{self.account.id}", self.address):
            self.services.looks.compared("photos", [found.decision])

    def photo(self, key: str) -> bytes:
        """An uploaded photo, once; raises ``UsageError`` for a key not of this session."""
        return self.photos.take(key, self.session.token)

    def open_feed(self, feed: Feed) -> str:
        """The key with which this session's browser joins the feed; ``feeds.drop`` ends it."""
        return self.feeds.add(feed, self.session.token)

    async def faces(
        self, photo: bytes, *, select: Selection = "all", photo_ids: bool = False
    ) -> Faces:
        """The faces of an uploaded photo, through the service's one queue."""
        (future,) = await self.run(
            self.services.batcher.submit, [photo], select=select, photo_ids=photo_ids
        )
        return await asyncio.wrap_future(future)

    async def one_face(self, photo: bytes, *, photo_ids: bool = False) -> Face | Faces:
        """The one face of a photo, ``photo_ids`` where it is to be enrolled; where several may be
        meant, all of them.

        Raises ``NoFaceFound``; quality is measured, not enforced.
        """
        try:
            found = await self.faces(photo, select="prominent", photo_ids=photo_ids)
        except SeveralFacesFound:
            return await self.faces(photo, photo_ids=photo_ids)
        return self.services.pipeline.checked(found)
