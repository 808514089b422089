"""Gets access tokens from the user pool's OAuth2 endpoints, as an app does.

Users sign in by the authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636) through the
pool's login page; machines by client credentials (RFC 6749 section 4.4). Only tokens of these
endpoints carry the custom scopes:
https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import urllib3

_INITIATE_AUTH = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
}


class LoginFailed(Exception):
    """The pool gave no token; the text says at which step and why."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """`expires_at` is the access token's end, in seconds of the monotonic clock."""

    access_token: str
    expires_at: float
    refresh_token: str | None


@dataclass(frozen=True, slots=True)
class Login:
    """A public client of the pool with its registered redirect."""

    url: str
    client_id: str
    redirect_uri: str
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(timeout=10))

    def sign_in(self, username: str, password: str, scopes: Sequence[str]) -> Tokens:
        """Sign in as a browser does: open the login page, send its form, exchange the code."""
        verifier = secrets.token_urlsafe(48)
        code = self._code(username, password, scopes, _challenge(verifier))
        return self._token(
            grant_type="authorization_code",
            client_id=self.client_id,
            code=code,
            redirect_uri=self.redirect_uri,
            code_verifier=verifier,
        )

    def refresh(self, refresh_token: str) -> Tokens:
        """A new access token with the same scopes and groups; the refresh token stays valid.

        Uses the pool's API, because the emulator's token endpoint drops the groups.
        """
        answer = self.http.request(
            "POST",
            self.url,
            headers=_INITIATE_AUTH,
            body=json.dumps(
                {
                    "AuthFlow": "REFRESH_TOKEN_AUTH",
                    "ClientId": self.client_id,
                    "AuthParameters": {"REFRESH_TOKEN": refresh_token},
                }
            ),
        )
        if answer.status != 200:
            raise LoginFailed(f"no new token: {answer.status} {answer.data.decode()[:200]}")
        result = answer.json()["AuthenticationResult"]
        expires_at = time.monotonic() + result["ExpiresIn"]
        return Tokens(result["AccessToken"], expires_at, refresh_token)

    def as_machine(self, secret: str, scopes: Sequence[str]) -> Tokens:
        """A confidential client's own token."""
        return self._token(
            grant_type="client_credentials",
            client_id=self.client_id,
            client_secret=secret,
            scope=" ".join(scopes),
        )

    def _code(self, username: str, password: str, scopes: Sequence[str], challenge: str) -> str:
        state = secrets.token_urlsafe(16)
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(scopes),
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        page_url = f"{self.url}/oauth2/authorize?{urlencode(query)}"
        page = self.http.request("GET", page_url, redirect=False)
        form = _LoginForm.parse(page.data.decode())
        if page.status != 200 or not form.action:
            raise LoginFailed(f"no login page: {page.status} {page.headers.get('Location', '')}")
        answer = self.http.request(
            "POST",
            urljoin(page_url, form.action),
            fields=form.values | {"username": username, "password": password},
            encode_multipart=False,
            redirect=False,
        )
        return _code_in(answer.headers.get("Location", ""), state, username)

    def _token(self, **parameters: str) -> Tokens:
        answer = self.http.request(
            "POST", f"{self.url}/oauth2/token", fields=parameters, encode_multipart=False
        )
        if answer.status != 200:
            raise LoginFailed(f"no token: {answer.status} {answer.data.decode()[:200]}")
        body = answer.json()
        expires_at = time.monotonic() + body["expires_in"]
        return Tokens(body["access_token"], expires_at, body.get("refresh_token"))


class _LoginForm(HTMLParser):
    """The first form of a page: its address and the values of its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.values: dict[str, str] = {}

    @classmethod
    def parse(cls, page: str) -> _LoginForm:
        form = cls()
        form.feed(page)
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.action:
            self.action = attributes.get("action", "")
        elif tag == "input" and "name" in attributes:
            self.values[attributes["name"]] = attributes.get("value", "")


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _code_in(location: str, state: str, username: str) -> str:
    query = parse_qs(urlsplit(location).query)
    if query.get("state") != [state] or "code" not in query:
        raise LoginFailed(f"the pool did not sign in {username}: wrong password or no such user")
    return query["code"][0]
