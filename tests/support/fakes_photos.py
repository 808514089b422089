"""Photos and accounts in memory, for tests whose unit is pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from service.core.photos import UPLOAD_BYTES, Photo, PhotoLinks, Picture, UploadForm
from service.model.errors import PhotoRefused


class FakePhotos:
    """`Photos` and `Uploads`. `uploaded`: by identity, what lies there; `shown`: by name."""

    def __init__(self) -> None:
        self.uploaded: dict[str, bytes] = {}
        self.shown: dict[str, Picture] = {}
        self._of: dict[str, Photo] = {}
        self._owners: dict[str, str] = {}

    def get(self, sub: str) -> Photo | None:
        return self._of.get(sub)

    def link_identity(self, identity_id: str, sub: str) -> None:
        known = self._of.get(sub) or Photo(identity_id)
        self._of[sub] = replace(known, identity_id=identity_id)
        self._owners[identity_id] = sub

    def form(self, identity_id: str, media_type: str) -> UploadForm:
        key = f"private/{identity_id}/photo"
        return UploadForm("https://photos.example.com", {"key": key, "Content-Type": media_type})

    def links(self, name: str) -> PhotoLinks:
        address = f"https://photos.example.com/{name}"
        return PhotoLinks(address, f"{address}-small")

    def forget(self, sub: str) -> None:
        photo = self._of.pop(sub, None)
        if photo:
            self.uploaded.pop(photo.identity_id, None)
            self._owners.pop(photo.identity_id, None)
            self.shown.pop(photo.name or "", None)

    def waiting(self) -> Iterator[str]:
        yield from list(self.uploaded)

    def owner(self, identity_id: str) -> str | None:
        return self._owners.get(identity_id)

    def take(self, identity_id: str) -> bytes | None:
        upload = self.uploaded.pop(identity_id, None)
        if upload is not None and len(upload) > UPLOAD_BYTES:
            raise PhotoRefused("the file is larger than 5 MB")
        return upload

    def keep(self, sub: str, picture: Picture) -> None:
        photo = self._of.get(sub)
        if photo is None:
            return
        self.shown.pop(photo.name or "", None)
        name = f"photos/{len(self.shown)}-{sub}"
        self.shown[name] = picture
        self._of[sub] = replace(photo, name=name, refused=None)

    def refuse(self, sub: str, reason: str) -> None:
        if sub in self._of:
            self._of[sub] = replace(self._of[sub], refused=reason)


class FakeAccounts:
    """`Accounts` that remembers what was ended."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.ended: list[tuple[str, str]] = []

    def delete(self, sub: str) -> None:
        self.deleted.append(sub)

    def end_session(self, refresh_token: str, client_id: str) -> None:
        self.ended.append((refresh_token, client_id))
