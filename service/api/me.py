"""Routes of one's own account: show, export and delete it, sign-out, and its photo.

The route by which a driver sees the rider's photo is here too.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Final, Literal

from flask import Blueprint, Response
from pydantic import Field

from service.api.fields import PageQuery, Strict
from service.api.views import Instant, RideView, View, ride_view
from service.auth import policy
from service.auth.errors import InvalidToken
from service.auth.revocation import identifiers_of, is_revoked
from service.core import photos
from service.core.erasure import delete_account
from service.core.photos import Photo, Photos
from service.core.unicorns import record_call
from service.http import audit, cursors
from service.http.context import caller, dependencies
from service.http.guard import revoke
from service.http.problems import Problem, invalid
from service.http.responses import answer, empty
from service.http.route import Route
from service.logs import add_log_context

blueprint: Final = Blueprint("me", __name__)

NOT_KEPT: Final = {"Cache-Control": "no-store"}
"""For answers with links that anybody who has them can open."""


class PhotoView(View):
    """Links to a photo and its small version; anybody who has them can open them for a minute."""

    url: str
    thumbnail_url: str
    expires_at: Instant


class MeView(View):
    """The caller as the access token names it, with the photo. `photo_refused`: why the last upload
    was refused; null if it was not.
    """

    sub: str
    username: str | None
    client_id: str
    groups: list[str]
    scopes: list[str]
    photo: PhotoView | None
    photo_refused: str | None


class ExportView(View):
    """All stored data of an account; rides come in pages. `unreadable_rides`: the ids of rides that
    are left out because the service cannot read them; all are on the last page.
    """

    account: MeView
    rides: list[RideView]
    unreadable_rides: list[str]
    next_cursor: str | None


class UploadFormView(View):
    """A form (multipart/form-data) for one upload: send these fields first and `file` last."""

    url: str
    fields: dict[str, str]
    expires_at: Instant


class PhotoUpload(Strict):
    """The photo to be uploaded. `id_token`: needed for the first photo, to find the identity."""

    content_type: Literal["image/jpeg", "image/png", "image/webp"]
    id_token: Annotated[str, Field(max_length=7168)] | None = None


class SignOut(Strict):
    """The refresh token of the session, which the user pool revokes too."""

    refresh_token: Annotated[str, Field(max_length=4096)] | None = None


@Route(blueprint, "GET", "/v1/me", policy=policy.ANY_USER, answers={200: MeView})
def show_account() -> Response:
    """Show the caller, as the access token says, and the caller's photo."""
    return answer(200, _me(), NOT_KEPT)


@Route(blueprint, "GET", "/v1/me/export", policy=policy.RIDES_READ, answers={200: ExportView})
def export_account(query: PageQuery) -> Response:
    """Export all stored data of the caller: the account and every ride, newest first."""
    stored, subject = dependencies().ports.rides, caller().subject
    page, next_cursor = cursors.read_page(
        cursors.RIDES,
        query.cursor,
        partial(stored.list_of_rider, subject, status=None, limit=query.limit),
    )
    view = ExportView(
        account=_me(),
        rides=list(map(ride_view, page)),
        unreadable_rides=[] if next_cursor else list(stored.unreadable_of_rider(subject)),
        next_cursor=next_cursor,
    )
    return answer(200, view, NOT_KEPT)


@Route(blueprint, "DELETE", "/v1/me", policy=policy.RIDES_WRITE, answers={204: None})
def delete_me() -> Response:
    """Delete the caller's account, photo and personal data in rides, and revoke the tokens.

    Answers 409 `open_rides` while the caller has an open ride; one that cannot be read counts as
    open for a day after its request. If the request fails, sign in again and repeat it.
    """
    deps, subject = dependencies(), caller().subject
    delete_account(
        deps.ports.rides,
        deps.ports.dead_letters,
        deps.photos,
        lambda sub: revoke("sub", sub),
        deps.accounts.delete,
        subject,
        deps.now(),
    )
    # Without the caller's id: no more lines than that of the request should name who is erased.
    audit.audit.info("account deleted")
    return empty(204)


@Route(blueprint, "POST", "/v1/me/photo", policy=policy.RIDES_WRITE, answers={200: UploadFormView})
def upload_photo(body: PhotoUpload) -> Response:
    """Get a form for the upload of a photo, valid for five minutes; 404 if photos are off.

    The photo is shown after it has been cleaned, which takes some seconds.
    """
    deps = dependencies()
    identity_id = _identity(_photos(), body.id_token)
    form = _photos().form(identity_id, body.content_type)
    view = UploadFormView.of(form, expires_at=deps.now() + photos.UPLOAD_FOR)
    return answer(200, view, NOT_KEPT)


@Route(blueprint, "POST", "/v1/me/sign-out", policy=policy.ANY_USER, answers={204: None})
def sign_out(body: SignOut) -> Response:
    """End the caller's session: its access tokens are refused everywhere within 5 s.

    The access tokens are also refused if the user pool does not answer (503) or if the refresh
    token belongs to another app (422), but then the refresh token stays valid.
    """
    deps, principal = dependencies(), caller()
    try:
        if body.refresh_token:
            deps.accounts.end_session(body.refresh_token, principal.client_id)
    except InvalidToken:
        raise invalid("refresh_token", "belongs to another app") from None
    finally:
        if principal.origin_jti is None:
            revoke("jti", principal.jti)
        else:
            revoke("origin_jti", principal.origin_jti)
    return empty(204)


@Route(
    blueprint,
    "GET",
    "/v1/fleet/me/rides/<ride_id>/photo",
    policy=policy.FLEET_DRIVE,
    answers={200: PhotoView},
)
def show_rider(ride_id: str) -> Response:
    """Show the rider's photo to the ride's driver, from the match to the end; otherwise 404."""
    deps = dependencies()
    add_log_context(ride_id=ride_id)
    unicorn_id = record_call(deps.ports, caller().subject, deps.now())
    links = photos.photo_of_rider(deps.ports, _photos(), unicorn_id, ride_id)
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
        raise _off()
    return kept


def _off() -> Problem:
    return Problem(404, "not_found", "There are no photos here.")


def _identity(kept: Photos, id_token: str | None) -> str:
    """The caller's identity: the stored one, or that of the ID token.

    Raises `Problem`, `InvalidToken`.
    """
    deps, subject = dependencies(), caller().subject
    if deps.identities is None:
        raise _off()
    if id_token is None:
        stored = kept.get(subject)
        if stored is None:
            raise invalid("id_token", "is needed for the first photo")
        return stored.identity_id
    try:
        owner = deps.identities.verifier.verify(id_token, deps.now().timestamp())
        if owner.subject != subject:
            raise invalid("id_token", "belongs to another user")
        identity_id = deps.identities.pool.identity_of(id_token)
    except InvalidToken:
        raise invalid("id_token", "is not a valid ID token") from None
    kept.link_identity(identity_id, subject)
    _unlink_if_revoked(kept)
    return identity_id


def _unlink_if_revoked(kept: Photos) -> None:
    """Take the caller's link back if the store has a revocation that this process may not know yet.

    A deletion of the account revokes first and deletes the photo's data afterwards. So either this
    check sees its revocation, or the deletion runs later and removes the link. Raises
    `InvalidToken` if there is a revocation.
    """
    deps, principal = dependencies(), caller()
    if not is_revoked(principal, deps.revocations.lookup(identifiers_of(principal), deps.now())):
        return
    photo = kept.get(principal.subject)
    if photo and photo.name is None:  # with a photo, the account was signed out, not deleted
        kept.forget(principal.subject)
    raise InvalidToken("revoked")
