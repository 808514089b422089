"""Routes of an account: what is known of it, its photo, its sign-out and its end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from flask import Blueprint, Response
from pydantic import Field

from service.api.fields import Listing, Strict
from service.api.views import RideView, View, ride_view
from service.auth import policy, revocation
from service.auth.errors import InvalidToken
from service.core import photos, rides
from service.core.accounts import delete_account
from service.core.photos import Photo, Photos
from service.http import audit, cursors
from service.http.context import caller, dependencies
from service.http.problems import Problem, invalid
from service.http.responses import answer, empty
from service.http.route import route
from service.logs import add_log_context

blueprint: Final = Blueprint("me", __name__)

NOT_KEPT: Final = {"Cache-Control": "no-store"}
"""Of answers with links that let in whoever has them."""


class PhotoView(View):
    """Links to a photo and a small one of it, good for a minute and for whoever has them."""

    url: str
    thumbnail_url: str
    expires_at: datetime


class MeView(View):
    """What the access token says, and the photo. `photo_refused`: why the last upload was."""

    sub: str
    username: str | None
    client_id: str
    groups: list[str]
    scopes: list[str]
    photo: PhotoView | None
    photo_refused: str | None


class ExportView(View):
    """All that is kept of an account, the rides a page at a time."""

    account: MeView
    rides: list[RideView]
    next_cursor: str | None


class UploadFormView(View):
    """A form (multipart/form-data) for one upload: these fields first, `file` last."""

    url: str
    fields: dict[str, str]
    expires_at: datetime


class PhotoUpload(Strict):
    """What is going to be uploaded. `id_token`: needed the first time, to know the identity."""

    content_type: Literal["image/jpeg", "image/png", "image/webp"]
    id_token: Annotated[str, Field(max_length=7168)] | None = None


class SignOut(Strict):
    """The refresh token of the session that ends, so that the pool forgets it, too."""

    refresh_token: Annotated[str, Field(max_length=4096)] | None = None


@route(blueprint, "GET", "/v1/me", policy=policy.RIDES_READ, answers={200: MeView})
def show_account() -> Response:
    """What the access token says of the caller, and the caller's photo."""
    return answer(200, _me(), NOT_KEPT)


@route(
    blueprint,
    "GET",
    "/v1/me/export",
    policy=policy.RIDES_READ,
    query=Listing,
    answers={200: ExportView},
)
def export_account(query: Listing) -> Response:
    """All that is kept of the caller: the account and every ride, newest first."""
    subject = caller().subject
    page = rides.list_rides(
        dependencies().ports,
        subject,
        status=None,
        limit=query.limit,
        start=cursors.key_of(query.cursor, subject),
    )
    view = ExportView(
        account=_me(),
        rides=[ride_view(ride) for ride in page.items],
        next_cursor=cursors.cursor_of(page.next_key, subject),
    )
    return answer(200, view, NOT_KEPT)


@route(blueprint, "DELETE", "/v1/me", policy=policy.RIDES_WRITE, answers={204: None})
def delete_me() -> Response:
    """Forget the caller: rides lose their rider, photo and account go, tokens end.

    409 `open_rides` while a ride has not ended. If it fails half way, sign in again and repeat.
    """
    deps, subject = dependencies(), caller().subject
    delete_account(
        deps.ports.rides,
        deps.ports.dead_letters,
        deps.photos,
        deps.accounts,
        lambda: _revoke("sub", subject),
        subject,
    )
    # Not who: the log would keep what was to be forgotten.
    audit.audit.info("account deleted")
    return empty(204)


@route(
    blueprint,
    "POST",
    "/v1/me/photo",
    policy=policy.RIDES_WRITE,
    body=PhotoUpload,
    answers={200: UploadFormView},
)
def upload_photo(body: PhotoUpload) -> Response:
    """A form for the upload of a photo, good for five minutes; 404 where photos are off.

    The photo is private until it was cleaned, which takes some seconds.
    """
    deps = dependencies()
    identity_id = _identity(_photos(), body.id_token)
    form = _photos().form(identity_id, body.content_type)
    view = UploadFormView.of(form, expires_at=deps.now() + photos.UPLOAD_FOR)
    return answer(200, view, NOT_KEPT)


@route(
    blueprint,
    "POST",
    "/v1/me/sign-out",
    policy=policy.RIDES_READ,
    body=SignOut,
    answers={204: None},
)
def sign_out(body: SignOut) -> Response:
    """End the caller's session: its access tokens are refused everywhere within 5 s."""
    deps, principal = dependencies(), caller()
    if body.refresh_token:
        deps.accounts.end_session(body.refresh_token, principal.client_id)
    if principal.origin_jti is None:
        _revoke("jti", principal.jti)
    else:
        _revoke("origin_jti", principal.origin_jti)
    return empty(204)


@route(
    blueprint,
    "GET",
    "/v1/fleet/me/rides/<ride_id>/photo",
    policy=policy.FLEET_DRIVE,
    answers={200: PhotoView},
)
def show_rider(ride_id: str) -> Response:
    """The photo of the rider, from the match to the end of the ride; else 404."""
    deps = dependencies()
    add_log_context(ride_id=ride_id)
    links = photos.photo_of_rider(deps.ports, _photos(), caller().subject, ride_id)
    return answer(200, PhotoView.of(links, expires_at=_seen_until()), NOT_KEPT)


def _me() -> MeView:
    deps, principal = dependencies(), caller()
    photo = deps.photos and deps.photos.get(principal.subject)
    return MeView(
        sub=principal.subject,
        username=principal.username,
        client_id=principal.client_id,
        groups=sorted(principal.groups),
        scopes=sorted(principal.scopes),
        photo=_shown(deps.photos, photo) if deps.photos and photo else None,
        photo_refused=photo.refused if photo else None,
    )


def _shown(kept: Photos, photo: Photo) -> PhotoView | None:
    if photo.name is None:
        return None
    return PhotoView.of(kept.links(photo.name), expires_at=_seen_until())


def _seen_until() -> datetime:
    return dependencies().now() + photos.SEEN_FOR


def _photos() -> Photos:
    kept = dependencies().photos
    if kept is None:
        raise Problem(404, "not_found", "There are no photos here.")
    return kept


def _identity(kept: Photos, id_token: str | None) -> str:
    """The caller's identity: known from before, or that of the ID token. Raises `Problem`."""
    subject = caller().subject
    if id_token is None:
        known = kept.get(subject)
        if known is None:
            raise invalid("id_token", "is needed the first time")
        return known.identity_id
    deps = dependencies()
    if deps.identities is None:
        raise Problem(404, "not_found", "There are no photos here.")
    try:
        owner = deps.identities.verifier.verify(id_token, deps.now().timestamp())
    except InvalidToken:
        raise invalid("id_token", "is no valid ID token") from None
    if owner.subject != subject:
        raise invalid("id_token", "is of another user")
    identity_id = deps.identities.pool.identity_of(id_token)
    kept.belongs(identity_id, subject)
    return identity_id


def _revoke(kind: str, value: str) -> None:
    """Refuse what the mark names within 5 s in every process, and at once in this one."""
    deps, settings = dependencies(), dependencies().settings
    revocation.revoke(
        deps.revocations,
        deps.pool,
        (kind, value),
        deps.now,
        session_seconds=settings.auth_session_max_seconds,
        leeway_seconds=settings.auth_leeway_seconds,
    )
    deps.revoked.forget()
