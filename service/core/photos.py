"""Profile photos: private until they are cleaned, then seen by the unicorn that comes.

An upload lies under one key of its owner, `private/<identity id>/photo`. The media role takes it
away from there, makes a new picture of its pixels and keeps that where no app can reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from service.core.ports import Stores
from service.core.unicorns import unicorn_id_of
from service.model import RideStatus
from service.model.errors import PhotoNotFound, PhotoRefused, RideNotFound

UPLOAD_BYTES: Final = 5 * 1024 * 1024
"""An upload may be this large: a phone's camera stays below it."""
UPLOAD_FOR: Final = timedelta(minutes=5)
"""How long a form for an upload is good."""
SEEN_FOR: Final = timedelta(seconds=60)
"""How long a link to a photo is good: what is left of it when a ride ends."""
MEDIA_TYPES: Final = ("image/jpeg", "image/png", "image/webp")

ASSIGNED: Final = frozenset({RideStatus.MATCHED, RideStatus.ARRIVED, RideStatus.IN_PROGRESS})


@dataclass(frozen=True, slots=True)
class Photo:
    """What is known of an account's photo.

    `name`: of the cleaned photo, if there is one. `refused`: why the last upload was refused.
    """

    identity_id: str
    name: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class UploadForm:
    """Where to send an upload and the fields that have to go with it, in this order."""

    url: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class PhotoLinks:
    """Addresses of a photo, for whoever has them, for `SEEN_FOR`."""

    url: str
    thumbnail_url: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo made anew, as JPEG without any metadata, and a small one of it."""

    photo: bytes
    thumbnail: bytes


class Photos(Protocol):
    """Photos of accounts, by the `sub` of their owner. Every method may raise `Unavailable`."""

    def get(self, sub: str) -> Photo | None: ...

    def belongs(self, identity_id: str, sub: str) -> None:
        """Remember whose uploads those of this identity are; again changes nothing."""

    def form(self, identity_id: str, media_type: str) -> UploadForm:
        """A form that takes one upload of this type, up to `UPLOAD_BYTES`. No remote call."""

    def links(self, name: str) -> PhotoLinks:
        """No remote call."""

    def forget(self, sub: str) -> None:
        """Delete an account's photo, its upload and all that is known of it."""


class Uploads(Protocol):
    """What the media role needs of photos. Every method may raise `Unavailable`."""

    def waiting(self) -> Iterator[str]:
        """The identities that have uploaded something."""

    def owner(self, identity_id: str) -> str | None:
        """The `sub` that the identity belongs to."""

    def take(self, identity_id: str) -> bytes | None:
        """Take the upload away; none if it is gone. Raises `PhotoRefused` if it is too large."""

    def keep(self, sub: str, picture: Picture) -> None:
        """Show this picture, and no earlier one."""

    def refuse(self, sub: str, reason: str) -> None:
        """Remember why the last upload is not shown; the photo of before stays."""


def photo_of_rider(stores: Stores, photos: Photos, account_sub: str, ride_id: str) -> PhotoLinks:
    """The photo of the rider whom this account's unicorn is taking, only while it is.

    Raises `UnicornNotFound`, `RideNotFound`, `PhotoNotFound`.
    """
    unicorn_id = unicorn_id_of(stores, account_sub)
    ride = stores.rides.get(ride_id)
    if ride is None or ride.unicorn_id != unicorn_id or ride.status not in ASSIGNED:
        raise RideNotFound("no such ride of this unicorn")
    photo = photos.get(ride.rider_id)
    if photo is None or photo.name is None:
        raise PhotoNotFound("the rider has no photo")
    return photos.links(photo.name)


def clean_uploads(
    uploads: Uploads, clean: Callable[[bytes], Picture], has_time: Callable[[], bool]
) -> int:
    """Clean what was uploaded, as long as there is time; returns how many photos are shown anew.

    An upload is taken away before anybody looks into it: one that kills the process is gone, not
    tried for ever. An upload of an identity that nobody knows stays until its bucket forgets it.
    """
    kept = 0
    for identity_id in uploads.waiting():
        if not has_time():
            break
        owner = uploads.owner(identity_id)
        if owner is None:
            continue
        try:
            upload = uploads.take(identity_id)
            if upload is not None:
                uploads.keep(owner, clean(upload))
                kept += 1
        except PhotoRefused as error:
            uploads.refuse(owner, str(error))
    return kept
