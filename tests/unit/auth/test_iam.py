"""Callers with an IAM role: which requests go to STS, and which answers of STS count."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.credentials import Credentials
from pydantic import ValidationError

from service.auth import iam, sts
from service.auth.errors import AuthUnavailable, InvalidToken, MalformedHeader, NotCheckedNow
from service.auth.iam import IamVerifier, credential_from
from service.auth.principal import Principal, TokenKind
from service.auth.roles import RoleGrants
from service.auth.sts import Sts
from service.settings import ApiSettings
from tests.support.api import SETTINGS
from tests.support.iam_credentials import AUDIENCE, REGION, credential, signed_at, signed_headers
from tests.support.infrastructure import free_port, wait_until
from tests.support.sts_server import ROLE_SESSION, StsServer, identity, refusal
from tests.unit.auth.conftest import Watch

ROLE = "arn:aws:iam::123456789012:role/fleet/telemetry"
TELEMETRY = "wildrydes/fleet.telemetry"
GRANTS = RoleGrants({ROLE: [TELEMETRY]})


@pytest.fixture
def server() -> Iterator[StsServer]:
    with StsServer() as running:
        yield running


@pytest.fixture
def verifier(server: StsServer, watch: Watch) -> IamVerifier:
    return IamVerifier(Sts(REGION, server.url, watch), GRANTS, audience=AUDIENCE)


@pytest.fixture
def headers(server: StsServer) -> dict[str, str]:
    return signed_headers(server.url)


def verify(verifier: IamVerifier, headers: Mapping[str, Any], after: float = 1) -> Principal:
    return verifier.verify(credential(headers), signed_at(headers) + after)


def changed(headers: Mapping[str, str], **changes: object) -> dict[str, object]:
    renamed = {name.replace("_", "-"): value for name, value in changes.items()}
    kept = {name: value for name, value in headers.items() if name not in renamed}
    return kept | {name: value for name, value in renamed.items() if value is not None}


def test_a_role_calls_as_a_machine_with_its_scopes(
    verifier: IamVerifier, headers: dict[str, str]
) -> None:
    principal = verify(verifier, headers)
    assert principal.subject == ROLE
    assert principal.client_id == ROLE_SESSION
    assert principal.kind is TokenKind.MACHINE
    assert principal.scopes == {TELEMETRY}
    assert principal.groups == frozenset()
    assert principal.issued_at == signed_at(headers)
    assert principal.expires_at == signed_at(headers) + 300
    assert re.fullmatch("[0-9a-f]{64}", principal.jti)


def test_sts_gets_one_fixed_request(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer
) -> None:
    verify(verifier, headers)
    (question,) = server.asked
    assert question.target == "/"
    assert question.body == b"Action=GetCallerIdentity&Version=2011-06-15"
    signed = {name.lower(): value for name, value in headers.items()}
    assert question.headers == {
        **signed,
        "host": server.url.removeprefix("http://"),
        "content-length": str(len(question.body)),
        "accept-encoding": "identity",
        "user-agent": question.headers["user-agent"],
    }


def test_the_host_of_sts_may_be_signed_explicitly(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer
) -> None:
    host = server.url.removeprefix("http://")
    assert verify(verifier, changed(headers, Host=host)).subject == ROLE


def test_headers_of_the_body_may_be_signed_too(verifier: IamVerifier, server: StsServer) -> None:
    digest = "ab821ae955788b0e33ebd34c208442ccfc2d406e2edc5e7a39bd6458fbb4f843"
    more = {"Content-Length": "43", "X-Amz-Content-Sha256": digest}
    assert verify(verifier, signed_headers(server.url, headers=more)).subject == ROLE


def test_an_answer_is_remembered_until_the_credential_is_too_old(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer
) -> None:
    assert verify(verifier, headers, after=1) == verify(verifier, headers, after=299)
    assert len(server.asked) == 1
    with pytest.raises(InvalidToken, match="signed too long ago"):
        verify(verifier, headers, after=300)
    assert len(server.asked) == 1


def test_a_refusal_is_not_remembered_as_an_answer(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer
) -> None:
    verify(verifier, headers)
    server.status, server.answer = 403, refusal("SignatureDoesNotMatch")
    with pytest.raises(InvalidToken, match="SignatureDoesNotMatch"):
        verify(verifier, signed_headers(server.url, headers={"Content-Length": "43"}))


def test_writing_a_credential_down_differently_does_not_change_its_name(
    verifier: IamVerifier, headers: dict[str, str]
) -> None:
    other = {name.upper(): headers[name] for name in reversed(headers)}
    assert credential(other) != credential(headers)
    assert verifier.verify(credential(other), signed_at(headers)) == verify(verifier, headers)


def assert_refused_without_a_call(
    verifier: IamVerifier, server: StsServer, headers: Mapping[str, Any], now: float
) -> None:
    with pytest.raises(InvalidToken):
        verifier.verify(credential(headers), now)
    assert server.asked == []


@pytest.mark.parametrize("after", [-31, 300, 301, 900, 1e9])
def test_a_credential_too_old_or_from_the_future_causes_no_call_to_sts(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer, after: float
) -> None:
    assert_refused_without_a_call(verifier, server, headers, signed_at(headers) + after)


@pytest.mark.parametrize("after", [-30, 0, 299.9])
def test_five_minutes_and_clocks_that_run_ahead_are_fine(
    verifier: IamVerifier, headers: dict[str, str], after: float
) -> None:
    assert verify(verifier, headers, after).subject == ROLE


@pytest.mark.parametrize(
    "signing",
    [
        {"audience": "https://other.example.com"},
        {"audience": f"{AUDIENCE}/"},
        {"audience": AUDIENCE.upper()},
        {"region": "eu-west-1"},
        {"service": "s3"},
        {"credentials": Credentials("AKIATESTTESTTESTTEST", "secret")},
        {"headers": {"X-Amz-Target": "AWSSecurityTokenServiceV20110615.GetCallerIdentity"}},
        {"headers": {"Content-Type": "application/x-amz-json-1.1"}},
        {"headers": {"Content-Length": "42"}},
        {"headers": {"X-Amz-Content-Sha256": "0" * 64}},
        {"headers": {"Accept": "application/json"}},
        {"headers": {"X-Forwarded-Host": "sts.example.com"}},
    ],
)
def test_a_request_signed_for_another_purpose_causes_no_call_to_sts(
    verifier: IamVerifier, server: StsServer, signing: dict[str, Any]
) -> None:
    headers = signed_headers(server.url, **signing)
    assert_refused_without_a_call(verifier, server, headers, signed_at(headers))


def test_a_request_signed_for_another_address_is_sent_to_sts_only(
    verifier: IamVerifier, server: StsServer
) -> None:
    with StsServer() as theirs:
        verify(verifier, signed_headers(theirs.url))
        assert theirs.asked == []
        named = changed(signed_headers(theirs.url), Host=theirs.url.removeprefix("http://"))
        with pytest.raises(InvalidToken, match="signed for another service"):
            verifier.verify(credential(named), signed_at(signed_headers(theirs.url)))
    assert len(server.asked) == 1
    assert server.asked[0].headers["host"] == server.url.removeprefix("http://")


@pytest.mark.parametrize(
    "changes",
    [
        {"Authorization": None},
        {"Authorization": "Bearer x"},
        {"X-Amz-Date": None},
        {"X-Amz-Date": "20260504T120000"},
        {"X-Amz-Date": "yesterday"},
        {"X-Amz-Date": "20269904T120000Z"},
        {"X-Amz-Security-Token": None},
        {"X-WildRydes-Audience": None},
        {"X-WildRydes-Audience": ["https://rides.example.com"]},
        {"X-WildRydes-Audience": "https://rides.example.com\r\nX-Other: 1"},
        {"X-Amz-Security-Token": ""},
        {"X-Amz-Security-Token": "tokén"},
        {"Content-Type": None},
        {"Content-Type": "application/json"},
        {"Content-Length": "43"},
        {"x-amz-date": "20260504T120000Z"},
        {"url": "https://sts.example.com/"},
        {"body": "Action=AssumeRole"},
    ],
)
def test_headers_that_do_not_fit_cause_no_call_to_sts(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer, changes: dict[str, object]
) -> None:
    assert_refused_without_a_call(verifier, server, changed(headers, **changes), signed_at(headers))


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        (";x-wildrydes-audience", ""),
        ("x-amz-date;", ""),
        ("host;", ""),
        ("host;", "host;host;"),
        ("x-amz-security-token;", ""),
        (r"Signature=[0-9a-f]{64}", "Signature=" + "A" * 64),
        (r"$", " "),
        (r"^", " "),
        (r"/\d{8}/", "/20260504/"),
        ("aws4_request", "aws4_other"),
    ],
)
def test_an_authorization_that_signs_something_else_causes_no_call_to_sts(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer, pattern: str, instead: str
) -> None:
    authorization = re.sub(pattern, instead, headers["Authorization"], count=1)
    assert authorization != headers["Authorization"]
    bad = changed(headers, Authorization=authorization)
    assert_refused_without_a_call(verifier, server, bad, signed_at(headers))


def test_a_day_that_does_not_exist_causes_no_call_to_sts(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer
) -> None:
    authorization = re.sub(r"/\d{8}/", "/20269904/", headers["Authorization"])
    bad = changed(headers, Authorization=authorization) | {"X-Amz-Date": "20269904T120000Z"}
    assert_refused_without_a_call(verifier, server, bad, signed_at(headers))


@pytest.mark.parametrize(
    "text", ["", "e30", "W10", "bnVsbA", "not base64!", "e30=", "é", "a" * 7169]
)
def test_a_text_that_is_no_credential_causes_no_call_to_sts(
    verifier: IamVerifier, server: StsServer, text: str
) -> None:
    with pytest.raises(InvalidToken):
        verifier.verify(text, 0)
    assert server.asked == []


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:user/telemetry",
        "arn:aws:iam::123456789012:root",
        "arn:aws:sts::123456789012:federated-user/telemetry",
        "arn:aws:iam::123456789012:role/fleet/telemetry",
        "arn:aws:sts::210987654321:assumed-role/telemetry/session-1",
        "arn:aws-cn:sts::123456789012:assumed-role/telemetry/session-1",
        "arn:aws:sts::123456789012:assumed-role/telemetry2/session-1",
        "arn:aws:sts::123456789012:assumed-role/Telemetry/session-1",
        "arn:aws:sts::123456789012:assumed-role/other/telemetry",
        "arn:aws:sts::123456789012:assumed-role/fleet/telemetry/session-1",
        "arn:aws:sts::123456789012:assumed-role/telemetry",
        "",
    ],
)
def test_only_sessions_of_the_role_itself_get_its_scopes(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer, arn: str
) -> None:
    server.answer = identity(arn)
    with pytest.raises((InvalidToken, AuthUnavailable)):
        verify(verifier, headers)


@pytest.mark.parametrize(
    "code", ["SignatureDoesNotMatch", "InvalidClientTokenId", "ExpiredToken", "AccessDenied"]
)
def test_a_refusal_of_sts_is_remembered(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer, code: str
) -> None:
    server.status, server.answer = 403, refusal(code)
    for _ in range(3):
        with pytest.raises(InvalidToken, match=code):
            verify(verifier, headers)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 413, 499])
def test_an_odd_refusal_of_one_credential_holds_up_no_other(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer, status: int
) -> None:
    server.status, server.answer = status, b""
    with pytest.raises(NotCheckedNow):
        verify(verifier, headers)
    server.status, server.answer = 200, identity()
    verify(verifier, headers)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, refusal("InternalFailure")),
        (503, refusal("ServiceUnavailable")),
        (200, b""),
        (200, b"{}"),
        (200, refusal("AccessDenied") + identity()),
        (200, b"<Other>" + identity() + b"</Other>"),
        (200, identity() + b" " * 20_000),
        (200, b"<GetCallerIdentityResponse><x>" + identity()),
    ],
)
def test_sts_with_an_unexpected_answer_counts_as_away_for_a_second(
    verifier: IamVerifier,
    headers: dict[str, str],
    server: StsServer,
    watch: Watch,
    status: int,
    answer: bytes,
) -> None:
    server.status, server.answer = status, answer
    for _ in range(3):
        with pytest.raises(AuthUnavailable):
            verify(verifier, headers)
    assert len(server.asked) == 1
    server.status, server.answer = 200, identity()
    watch.seconds += sts.PAUSE_SECONDS
    assert verify(verifier, headers).subject == ROLE


@pytest.mark.parametrize(
    ("status", "answer"), [(400, refusal("Throttling")), (403, b"a proxy's page")]
)
def test_a_caller_that_sts_neither_knows_nor_refuses_holds_up_no_other(
    verifier: IamVerifier, headers: dict[str, str], server: StsServer, status: int, answer: bytes
) -> None:
    server.status, server.answer = status, answer
    with pytest.raises(NotCheckedNow):
        verify(verifier, headers)
    server.status, server.answer = 200, identity()
    assert verify(verifier, headers).subject == ROLE


def test_sts_out_of_reach_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    verifier = IamVerifier(Sts(REGION, url), GRANTS, audience=AUDIENCE)
    with pytest.raises(AuthUnavailable):
        verify(verifier, signed_headers(url))


def test_sts_that_hangs_is_unavailable(
    server: StsServer, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sts, "DEADLINE_SECONDS", 0.1)
    verifier = IamVerifier(Sts(REGION, server.url), GRANTS, audience=AUDIENCE)
    server.may_answer.clear()
    with pytest.raises(AuthUnavailable):
        verify(verifier, headers)


@pytest.mark.parametrize("status", [200, 403])
def test_requests_at_the_same_time_with_one_credential_ask_once(
    server: StsServer, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A program that renews its credential goes on with many requests at once."""
    monkeypatch.setattr(sts, "DEADLINE_SECONDS", 60.0)
    verifier = IamVerifier(Sts(REGION, server.url), GRANTS, audience=AUDIENCE)
    server.status = status
    server.answer = identity() if status == 200 else refusal("InvalidClientTokenId")
    server.may_answer.clear()
    at_once = 2 * sts.MOST_AT_ONCE
    entered = threading.Barrier(at_once + 1)

    def ask(_: int) -> str:
        entered.wait(30)
        try:
            return verify(verifier, headers).subject
        except InvalidToken:
            return "refused"

    with ThreadPoolExecutor(at_once) as pool:
        answers = pool.map(ask, range(at_once))
        entered.wait(30)
        wait_until(lambda: server.asked, "the question")
        server.may_answer.set()
    assert set(answers) == {ROLE if status == 200 else "refused"}
    assert len(server.asked) == 1


def test_a_request_that_another_one_overtook_asks_nobody(
    verifier: IamVerifier,
    server: StsServer,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signed = IamVerifier._signed

    def overtaken(own: IamVerifier, given: Mapping[str, str], now: float) -> iam.SignedRequest:
        monkeypatch.undo()
        verify(own, headers)
        return signed(own, given, now)

    monkeypatch.setattr(IamVerifier, "_signed", overtaken)
    assert verify(verifier, headers).subject == ROLE
    assert len(server.asked) == 1


def test_only_so_many_questions_are_under_way_at_once(
    server: StsServer, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sts, "DEADLINE_SECONDS", 60.0)
    verifier = IamVerifier(Sts(REGION, server.url), GRANTS, audience=AUDIENCE)
    server.may_answer.clear()
    turned_away = threading.Semaphore(0)

    def ask(number: int) -> bool:
        # Each credential is another one, because STS is asked once for each.
        other = changed(headers, Authorization=headers["Authorization"][:-2] + f"{number:02}")
        try:
            verify(verifier, other)
        except NotCheckedNow:
            turned_away.release()
            return False
        return True

    with ThreadPoolExecutor(sts.MOST_AT_ONCE + 3) as pool:
        answers = pool.map(ask, range(sts.MOST_AT_ONCE + 3))
        assert all(turned_away.acquire(timeout=30) for _ in range(3))
        wait_until(lambda: len(server.asked) == sts.MOST_AT_ONCE, "the questions")
        server.may_answer.set()
    assert sum(answers) == sts.MOST_AT_ONCE
    assert verify(verifier, headers).subject == ROLE


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_endpoint_is_the_region_s(region: str, host: str) -> None:
    assert Sts(region).host == host


def test_the_endpoint_must_be_https_unless_on_this_machine() -> None:
    with pytest.raises(ValueError, match="must be https"):
        Sts(REGION, "http://sts.example.com")


@pytest.mark.parametrize("header", [None, "", "Bearer a.b.c", "WildRydes-IAMx e30", "wildrydes"])
def test_another_scheme_is_not_ours(header: str | None) -> None:
    assert credential_from(header, has_query_token=False) is None


@pytest.mark.parametrize("scheme", ["WildRydes-IAM", "wildrydes-iam"])
def test_the_credential_follows_the_scheme(scheme: str) -> None:
    assert credential_from(f"{scheme} e30", has_query_token=False) == "e30"


@pytest.mark.parametrize(
    ("header", "has_query_token"),
    [
        ("WildRydes-IAM", False),
        ("WildRydes-IAM ", False),
        ("WildRydes-IAM e30 e30", False),
        ("WildRydes-IAM e30,e30", False),
        ("WildRydes-IAM e30\te30", False),
        ("WildRydes-IAM e30", True),
    ],
)
def test_not_exactly_one_credential_is_malformed(header: str, has_query_token: bool) -> None:
    with pytest.raises(MalformedHeader):
        credential_from(header, has_query_token)


@pytest.mark.parametrize(
    "grants",
    [
        {"arn:aws:iam::123456789012:user/u": [TELEMETRY]},
        {"arn:aws:iam::123456789012:role/*": [TELEMETRY]},
        {"arn:aws:iam::*:role/telemetry": [TELEMETRY]},
        {"arn:aws:sts::123456789012:assumed-role/telemetry/s": [TELEMETRY]},
        {ROLE: []},
        {ROLE: ["wildrydes/fleet.*"]},
        {ROLE: [TELEMETRY], "arn:aws:iam::123456789012:role/telemetry": [TELEMETRY]},
    ],
)
def test_a_grant_that_is_not_exact_stops_the_start(grants: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match=r"ARN|scopes"):
        RoleGrants(grants)


def test_the_setting_is_json_and_off_by_default() -> None:
    assert ApiSettings(**SETTINGS).iam_role_scopes == {}
    given = {**SETTINGS, "iam_role_scopes": f'{{"{ROLE}": ["{TELEMETRY}"]}}'}
    assert ApiSettings(**given).iam_role_scopes == {ROLE: (TELEMETRY,)}
    with pytest.raises(ValidationError, match="iam_role_scopes"):
        ApiSettings(**{**SETTINGS, "iam_role_scopes": "{"})


def test_the_longest_credential_fits_into_a_header() -> None:
    assert len("Authorization: WildRydes-IAM ") + iam.LONGEST_CREDENTIAL < 8190
