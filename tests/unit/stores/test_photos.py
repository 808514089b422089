"""The form with which a browser uploads a photo to the bucket."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from service.core.photos import UPLOAD_BYTES, UPLOAD_FOR
from service.stores.dynamodb.client import dynamodb_client
from service.stores.photos import S3Photos
from tests.support.dynamodb import fresh_settings


def test_a_form_takes_one_picture_of_its_owner_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = fresh_settings()
    photos = S3Photos(dynamodb_client(settings), "Operations", "photos", settings.aws_region)
    before = datetime.now(UTC)
    form = photos.form("identity-1", "image/png")
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    assert ["content-length-range", 1, UPLOAD_BYTES] in policy["conditions"]
    for condition in ({"Content-Type": "image/png"}, {"key": "private/identity-1/photo"}):
        assert condition in policy["conditions"]
    lasts = datetime.fromisoformat(policy["expiration"]) - before
    assert abs((lasts - UPLOAD_FOR).total_seconds()) < 60
