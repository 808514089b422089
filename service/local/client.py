"""An API client with its own account: signs in, renews its token, speaks JSON."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import urllib3

from service.local.login import Login, LoginFailed, Tokens

RENEW_SECONDS = 60
"""A token is renewed if its remaining life is shorter than this."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is the JSON document; None if there is none."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the pool and the scopes its app asks for."""

    username: str
    password: str
    scopes: Sequence[str]


class Client:
    """Calls one API as one user. Threads may share it; in the worst case each of them signs in."""

    def __init__(self, url: str, login: Login, account: Account) -> None:
        """Signs in when it first needs to."""
        self._url = url
        self._login = login
        self._account = account
        self._tokens: Tokens | None = None
        self._is_renewed = False

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> Answer:
        """Make one request. `patience`: the seconds that the server was asked to wait.

        Raises `urllib3.exceptions.HTTPError` if the API cannot be reached and `LoginFailed` if the
        pool gives no token. If a token is refused, the client signs in again once; also if a
        renewed token gets 403, because it may have lost its groups.
        """
        answer = self._request(method, path, body, headers or {}, patience)
        if answer.status == 401 or (answer.status == 403 and self._is_renewed):
            self._tokens = None
            answer = self._request(method, path, body, headers or {}, patience)
        return answer

    def subject(self) -> str:
        """The `sub` of the client's own token, unverified because it came from the pool itself."""
        payload = self._access_token().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["sub"])

    def _request(
        self, method: str, path: str, body: Any, headers: Mapping[str, str], patience: float
    ) -> Answer:
        answer = self._login.http.request(
            method,
            self._url + path,
            json=body,
            headers={"Authorization": f"Bearer {self._access_token()}", **headers},
            timeout=urllib3.Timeout(connect=5, read=10 + patience),
            retries=False,
        )
        has_document = "json" in answer.headers.get("Content-Type", "")
        return Answer(answer.status, answer.json() if has_document else None, answer.headers)

    def _access_token(self) -> str:
        if self._tokens is None or self._tokens.expires_at - time.monotonic() < RENEW_SECONDS:
            self._tokens = self._renewed()
        return self._tokens.access_token

    def _renewed(self) -> Tokens:
        if self._tokens and self._tokens.refresh_token:
            try:
                tokens = self._login.refresh(self._tokens.refresh_token)
            except LoginFailed:
                self._tokens = None
            else:
                self._is_renewed = True
                return tokens
        self._is_renewed = False
        return self._login.sign_in(
            self._account.username, self._account.password, self._account.scopes
        )
