"""Photos: files in S3, what is known of them on the table of operations.

Presigned requests are made without asking S3:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/PresignedUrlUploadObject.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.core.photos import (
    SEEN_FOR,
    UPLOAD_BYTES,
    UPLOAD_FOR,
    Photo,
    PhotoLinks,
    Picture,
    UploadForm,
)
from service.model.errors import PhotoRefused, Unavailable
from service.stores.credentials import session_with_kept_credentials
from service.stores.dynamodb.calls import patiently
from service.stores.dynamodb.items import can_be_key, text
from service.stores.dynamodb.table import TableStore

if TYPE_CHECKING:
    from service.stores.dynamodb.items import Item

Answer = TypeVar("Answer")

_CONFIG: Final = Config(
    signature_version="s3v4",  # forms are signed by nothing else in new regions
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 2},
)
_UPLOADS: Final = "private/"
_CLEANED: Final = "photos/"
_THUMBNAIL: Final = "-small"


class DynamoPhotos(TableStore):
    """Whose an identity is, and what is known of an account's photo. Raises `Unavailable`."""

    def get(self, sub: str) -> Photo | None:
        name = f"photo#{sub}"
        item = self._stored({"operation_id": text(name)}) if can_be_key(name) else None
        if item is None:
            return None
        kept = {key: item[key]["S"] for key in ("photo", "refused") if key in item}
        return Photo(item["identity_id"]["S"], kept.get("photo"), kept.get("refused"))

    def owner(self, identity_id: str) -> str | None:
        name = f"identity#{identity_id}"
        item = self._stored({"operation_id": text(name)}) if can_be_key(name) else None
        return item["account_sub"]["S"] if item else None

    def belongs(self, identity_id: str, sub: str) -> None:
        self._set(f"photo#{sub}", "SET identity_id = :identity", {":identity": text(identity_id)})
        self._set(f"identity#{identity_id}", "SET account_sub = :sub", {":sub": text(sub)})

    def show(self, sub: str, name: str) -> str | None:
        """Show another photo; returns the one shown before."""
        set_it = "SET photo = :photo REMOVE refused"
        before = self._set(f"photo#{sub}", set_it, {":photo": text(name)})
        return before["photo"]["S"] if "photo" in before else None

    def refuse(self, sub: str, reason: str) -> None:
        self._set(f"photo#{sub}", "SET refused = :reason", {":reason": text(reason)})

    def forget(self, photo: Photo, sub: str) -> None:
        for name in (f"identity#{photo.identity_id}", f"photo#{sub}"):
            delete = partial(
                self._client.delete_item, TableName=self._table, Key={"operation_id": text(name)}
            )
            patiently(delete, self._patience)

    def _set(self, name: str, expression: str, values: Item) -> Item:
        """Change an item, or make it; returns what it was."""
        update = partial(
            self._client.update_item,
            TableName=self._table,
            Key={"operation_id": text(name)},
            UpdateExpression=expression,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_OLD",
        )
        return patiently(update, self._patience).get("Attributes", {})


class S3Photos:
    """`Photos` and `Uploads` on a bucket and a table. The client is made when first needed."""

    def __init__(self, rows: DynamoPhotos, bucket: str, region: str) -> None:
        self._rows = rows
        self._bucket = bucket
        self._region = region
        self.get = rows.get
        self.owner = rows.owner
        self.belongs = rows.belongs
        self.refuse = rows.refuse

    def form(self, identity_id: str, media_type: str) -> UploadForm:
        made = self._s3.generate_presigned_post(
            self._bucket,
            _upload_key(identity_id),
            Fields={"Content-Type": media_type},
            Conditions=[
                {"Content-Type": media_type},
                ["content-length-range", 1, UPLOAD_BYTES],
            ],
            ExpiresIn=int(UPLOAD_FOR.total_seconds()),
        )
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
        self._put(name, picture.photo)
        self._put(f"{name}{_THUMBNAIL}", picture.thumbnail)
        before = self._rows.show(sub, name)
        if before:
            self._delete(before, f"{before}{_THUMBNAIL}")

    def forget(self, sub: str) -> None:
        photo = self._rows.get(sub)
        if photo is None:
            return
        shown = [photo.name, f"{photo.name}{_THUMBNAIL}"] if photo.name else []
        self._delete(_upload_key(photo.identity_id), *shown)
        self._rows.forget(photo, sub)

    def _link(self, key: str) -> str:
        link: str = self._s3.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": key},
            ExpiresIn=int(SEEN_FOR.total_seconds()),
        )
        return link

    def _put(self, key: str, body: bytes) -> None:
        put = partial(self._s3.put_object, Bucket=self._bucket, Key=key, Body=body)
        # Never stored by a cache that outlives the link, never taken for another type.
        _tried(lambda: put(ContentType="image/jpeg", CacheControl="private, max-age=60"))

    def _delete(self, *keys: str) -> None:
        for key in keys:
            _tried(partial(self._s3.delete_object, Bucket=self._bucket, Key=key))

    @cached_property
    def _s3(self) -> Any:
        session = boto3.Session(botocore_session=session_with_kept_credentials())
        return session.client("s3", region_name=self._region, config=_CONFIG)


class _Gone(Exception):
    """There is no such file."""


def _tried(call: Callable[[], Answer]) -> Answer:
    """Raises `Unavailable`, `_Gone`."""
    try:
        return call()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"NoSuchKey", "404"}:
            raise _Gone from error
        raise Unavailable(f"photos: {code}") from error
    except BotoCoreError as error:
        raise Unavailable(f"photos: {type(error).__name__}") from error


def _upload_key(identity_id: str) -> str:
    return f"{_UPLOADS}{identity_id}/photo"
