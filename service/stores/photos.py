"""Stores photos: the files in S3, and the data about them on the table of operations.

Presigned requests are made without asking S3, with the credentials and the clock of the host:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/PresignedUrlUploadObject.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError

from service.core.photos import (
    SEEN_FOR,
    UPLOAD_BYTES,
    UPLOAD_FOR,
    Photo,
    PhotoLinks,
    Picture,
    UploadForm,
)
from service.model.errors import PhotoRefused
from service.stores.credentials import aws_client, code_of, unavailable
from service.stores.dynamodb.calls import ConditionFailed
from service.stores.dynamodb.items import text
from service.stores.dynamodb.table import TableStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from service.stores.dynamodb.items import Item

Answer = TypeVar("Answer")

_CONFIG: Final = Config(
    signature_version="s3v4",  # new regions accept only forms with this signature
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 2},
)
_UPLOADS: Final = "private/"
_CLEANED: Final = "photos/"
_THUMBNAIL: Final = "-small"
_EXISTS: Final = {"ConditionExpression": "attribute_exists(operation_id)"}
"""A deleted account gets no new item while its last upload is still being cleaned."""


class S3Photos(TableStore):
    """`Photos` and `Uploads`: files in a bucket, and two items for each account on a table.

    The client of S3 is made when first needed.
    """

    def __init__(self, client: DynamoDBClient, table: str, bucket: str, region: str) -> None:
        super().__init__(client, table)
        self._bucket = bucket
        self._region = region

    def get(self, sub: str) -> Photo | None:
        item = self._stored(f"photo#{sub}")
        if item is None:
            return None
        refused = item["refused"]["S"] if "refused" in item else None
        return Photo(item["identity_id"]["S"], _name_in(item, "photo"), refused)

    def owner(self, identity_id: str) -> str | None:
        item = self._stored(f"identity#{identity_id}")
        return item["account_sub"]["S"] if item else None

    def link_identity(self, identity_id: str, sub: str) -> None:
        identity, account = text(identity_id), text(sub)
        self._updated(f"photo#{sub}", "SET identity_id = :identity", {":identity": identity})
        self._updated(f"identity#{identity_id}", "SET account_sub = :sub", {":sub": account})

    def refuse(self, sub: str, reason: str) -> None:
        with suppress(ConditionFailed):
            set_it = "SET refused = :reason"
            self._updated(f"photo#{sub}", set_it, {":reason": text(reason)}, **_EXISTS)

    def form(self, identity_id: str, media_type: str) -> UploadForm:
        sign = partial(
            self._s3.generate_presigned_post,
            self._bucket,
            _upload_key(identity_id),
            Fields={"Content-Type": media_type},
            Conditions=[{"Content-Type": media_type}, ["content-length-range", 1, UPLOAD_BYTES]],
            ExpiresIn=int(UPLOAD_FOR.total_seconds()),
        )
        made = _tried(sign)
        return UploadForm(made["url"], made["fields"])

    def links(self, name: str) -> PhotoLinks:
        return PhotoLinks(self._link(name), self._link(f"{name}{_THUMBNAIL}"))

    def waiting(self) -> Iterator[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=_UPLOADS
        )
        for page in _tried(lambda: list(pages)):
            for entry in page.get("Contents", ()):
                _, identity_id, *rest = entry["Key"].split("/")
                if rest == ["photo"]:
                    yield identity_id

    def take(self, identity_id: str) -> bytes | None:
        key = _upload_key(identity_id)
        try:
            found = _tried(lambda: self._s3.get_object(Bucket=self._bucket, Key=key))
        except _Gone:
            return None
        with found["Body"] as body:
            upload: bytes = _tried(lambda: body.read(UPLOAD_BYTES + 1))
        self._delete(key)
        if len(upload) > UPLOAD_BYTES:
            raise PhotoRefused("the file is larger than 5 MB")
        return upload

    def keep(self, sub: str, picture: Picture) -> None:
        name = f"{_CLEANED}{uuid.uuid4().hex}"
        # Noted before the files exist: if this process dies, the next photo or the end of the
        # account deletes them.
        set_it, values = "SET unseen = :photo", {":photo": text(name)}
        try:
            before = self._updated(
                f"photo#{sub}", set_it, values, ReturnValues="ALL_OLD", **_EXISTS
            )
        except ConditionFailed:
            return
        self._delete_photo(_name_in(before, "unseen"))
        self._store(name, picture.photo)
        self._store(f"{name}{_THUMBNAIL}", picture.thumbnail)
        self._delete_photo(self.show(sub, name))

    def show(self, sub: str, name: str) -> str | None:
        """Show this photo in place of the present one. Returns the photo that is no longer shown.

        If the account was deleted or another photo was begun meanwhile, that is the new photo
        itself.
        """
        set_it, values = "SET photo = :photo REMOVE refused, unseen", {":photo": text(name)}
        shown = _name_in(self._stored(f"photo#{sub}") or {}, "photo")
        if shown:
            set_it = "SET photo = :photo, unseen = :shown REMOVE refused"
            values[":shown"] = text(shown)
        # The second part holds if the answer to a first attempt was lost.
        is_last = {"ConditionExpression": "unseen = :photo OR photo = :photo"}
        try:
            before = self._updated(
                f"photo#{sub}", set_it, values, ReturnValues="ALL_OLD", **is_last
            )
        except ConditionFailed:
            return name
        replaced = _name_in(before, "photo")
        # The answer to the first attempt was lost, and the second found what the first had stored.
        return shown if replaced == name else replaced

    def forget(self, sub: str) -> None:
        item = self._stored(f"photo#{sub}")
        if item is None:
            return
        identity_id = item["identity_id"]["S"]
        self._delete(_upload_key(identity_id))
        self._delete_photos_of(item)
        self._deleted(f"identity#{identity_id}")
        # Once more, because the media role may have begun another photo meanwhile.
        self._delete_photos_of(self._deleted(f"photo#{sub}"))

    def _link(self, key: str) -> str:
        sign = partial(
            self._s3.generate_presigned_url,
            "get_object",
            Params={"Bucket": self._bucket, "Key": key},
            ExpiresIn=int(SEEN_FOR.total_seconds()),
        )
        link: str = _tried(sign)
        return link

    def _store(self, key: str, body: bytes) -> None:
        put = partial(self._s3.put_object, Bucket=self._bucket, Key=key, Body=body)
        # Only the viewer's browser caches the file, for a minute. The browser goes by the type.
        _tried(lambda: put(ContentType="image/jpeg", CacheControl="private, max-age=60"))

    def _delete_photos_of(self, item: Item) -> None:
        self._delete_photo(_name_in(item, "photo"))
        self._delete_photo(_name_in(item, "unseen"))

    def _delete_photo(self, name: str | None) -> None:
        if name:
            self._delete(name)
            self._delete(f"{name}{_THUMBNAIL}")

    def _delete(self, key: str) -> None:
        _tried(partial(self._s3.delete_object, Bucket=self._bucket, Key=key))

    @cached_property
    def _s3(self) -> Any:
        return aws_client("s3", self._region, _CONFIG)


class _Gone(Exception):
    """There is no such file."""


def _tried(call: Callable[[], Answer]) -> Answer:
    """Make a call to S3. Raises `Unavailable`, and `_Gone` if there is no such file."""
    with unavailable("photos"):
        try:
            return call()
        except ClientError as error:
            if code_of(error) in {"NoSuchKey", "404"}:
                raise _Gone from error
            raise


def _name_in(item: Item, field: str) -> str | None:
    """The photo that this field names: `photo` is shown, `unseen` is not and may have files."""
    return item[field]["S"] if field in item else None


def _upload_key(identity_id: str) -> str:
    return f"{_UPLOADS}{identity_id}/photo"
