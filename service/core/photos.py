"""Profile photos: private until they are cleaned, then shown to the driver of the rider's ride.

An upload lies under a key that only its owner can write, `private/<identity id>/photo`. The media
role removes it from there, makes a new picture from its pixels and stores that where no app has
access.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from service.core.ports import Stores
from service.model import SHOWS_UNICORN
from service.model.errors import PhotoNotFound, PhotoRefused, RideNotFound, Unavailable

UPLOAD_BYTES: Final = 5 * 1024 * 1024
"""The largest upload; photos of a phone's camera are smaller."""
UPLOAD_FOR: Final = timedelta(minutes=5)
"""How long a form for an upload is valid."""
SEEN_FOR: Final = timedelta(seconds=60)
"""How long a link to a photo is valid, and so how long it can outlast the ride."""
MEDIA_TYPES: Final = ("image/jpeg", "image/png", "image/webp")


@dataclass(frozen=True, slots=True)
class Photo:
    """The state of an account's photo.

    `name`: the object name of the cleaned photo, if there is one. `refused`: why the last upload
    was refused.
    """

    identity_id: str
    name: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class UploadForm:
    """The address for an upload, and the form fields to send with it in this order."""

    url: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class PhotoLinks:
    """Links to a photo, which anybody who has them can open for `SEEN_FOR`."""

    url: str
    thumbnail_url: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A cleaned photo as JPEG without metadata, and its small version."""

    photo: bytes
    thumbnail: bytes


class Photos(Protocol):
    """Photos of accounts, by the `sub` of their owner. Every method may raise `Unavailable`."""

    def get(self, sub: str) -> Photo | None: ...

    def link_identity(self, identity_id: str, sub: str) -> None:
        """Store which account the uploads of an identity belong to. Repeating changes nothing."""

    def form(self, identity_id: str, media_type: str) -> UploadForm:
        """A form that takes one upload of this type, up to `UPLOAD_BYTES`. No remote call."""

    def links(self, name: str) -> PhotoLinks:
        """The links to the photo with this object name. No remote call."""

    def forget(self, sub: str) -> None:
        """Delete an account's photo, its upload and all data about it."""


class Uploads(Protocol):
    """Uploads, for the media role. Every method may raise `Unavailable`."""

    def waiting(self) -> Iterator[str]:
        """The identities that have uploaded something."""

    def owner(self, identity_id: str) -> str | None:
        """The `sub` that the identity belongs to."""

    def take(self, identity_id: str) -> bytes | None:
        """Remove and return the upload; None if it is gone. Raises `PhotoRefused` if too large."""

    def keep(self, sub: str, picture: Picture) -> None:
        """Store a picture in place of the earlier one, unless the account was forgotten."""

    def refuse(self, sub: str, reason: str) -> None:
        """Store why the last upload was refused, unless the account was forgotten.

        The earlier photo stays.
        """


def photo_of_rider(stores: Stores, photos: Photos, unicorn_id: str, ride_id: str) -> PhotoLinks:
    """The photo of the rider of this ride, while the unicorn has the ride.

    Raises `RideNotFound`, `PhotoNotFound`.
    """
    ride = stores.rides.get(ride_id)
    if ride is None or ride.unicorn_id != unicorn_id or ride.status not in SHOWS_UNICORN:
        raise RideNotFound("no such ride of this unicorn")
    photo = photos.get(ride.rider_id)
    if photo is None or photo.name is None:
        raise PhotoNotFound("the rider has no photo")
    return photos.links(photo.name)


def clean_uploads(
    uploads: Uploads, clean: Callable[[bytes], Picture], has_time: Callable[[], bool]
) -> int:
    """Clean the waiting uploads while there is time; returns the number of new photos.

    An upload is removed before it is opened, so that one that kills the process is not tried for
    ever. An upload of an unknown identity stays until the bucket expires it.
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
                _keep(uploads, owner, clean(upload))
                kept += 1
        except PhotoRefused as error:
            uploads.refuse(owner, str(error))
    return kept


def _keep(uploads: Uploads, owner: str, picture: Picture) -> None:
    try:
        uploads.keep(owner, picture)
    except Unavailable:
        # The upload is gone.
        with suppress(Unavailable):
            uploads.refuse(owner, "could not be stored: upload it again")
        raise
