"""An event of every trigger source, in the shape that AWS documents.

The pages are named in the handlers' docstrings; the common part is that of
https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

POOL_ID: Final = "us-east-1_Example"
CLIENT_ID: Final = "riderclient"
SUB: Final = "8a6f2c1e-0000-4000-8000-000000000001"
USER: Final[Mapping[str, str]] = {
    "sub": SUB,
    "email": "rider@example.com",
    "email_verified": "true",
    "given_name": "Ada",
}

_MESSAGE: Final = {"codeParameter": "{####}", "usernameParameter": "{username}"}
_MESSAGE_ANSWER: Final = {"smsMessage": None, "emailMessage": None, "emailSubject": None}
_SIGN_UP: Final = {"validationData": None}
_SIGN_UP_ANSWER: Final = {
    "autoConfirmUser": False,
    "autoVerifyEmail": False,
    "autoVerifyPhone": False,
}
_TOKEN: Final = {
    "groupConfiguration": {
        "groupsToOverride": ["riders"],
        "iamRolesToOverride": ["arn:aws:iam::123456789012:role/rider"],
        "preferredRole": "arn:aws:iam::123456789012:role/rider",
    },
    "scopes": ["aws.cognito.signin.user.admin"],
}
_TOKEN_ANSWER: Final = {"claimsAndScopeOverrideDetails": None}
_MIGRATION_ANSWER: Final = {
    "userAttributes": None,
    "forceAliasCreation": None,
    "finalUserStatus": None,
    "messageAction": None,
    "desiredDeliveryMediums": None,
}

_Shape = tuple[str, Mapping[str, Any], Mapping[str, Any]]
_TOKEN_SOURCES: Final = (
    "HostedAuth",
    "Authentication",
    "NewPasswordChallenge",
    "AuthenticateDevice",
    "RefreshTokens",
)
SHAPES: Final[Mapping[str, _Shape]] = {
    "PreSignUp_SignUp": ("1", _SIGN_UP, _SIGN_UP_ANSWER),
    "PreSignUp_AdminCreateUser": ("1", _SIGN_UP, _SIGN_UP_ANSWER),
    "PreSignUp_ExternalProvider": ("1", _SIGN_UP, _SIGN_UP_ANSWER),
    "CustomMessage_SignUp": ("1", _MESSAGE, _MESSAGE_ANSWER),
    "CustomMessage_AdminCreateUser": ("1", _MESSAGE, _MESSAGE_ANSWER),
    "CustomMessage_ResendCode": ("1", _MESSAGE, _MESSAGE_ANSWER),
    "CustomMessage_ForgotPassword": ("1", _MESSAGE, _MESSAGE_ANSWER),
    "CustomMessage_UpdateUserAttribute": ("1", _MESSAGE, _MESSAGE_ANSWER),
    "CustomMessage_VerifyUserAttribute": ("1", _MESSAGE, _MESSAGE_ANSWER),
    "CustomMessage_Authentication": ("1", _MESSAGE, _MESSAGE_ANSWER),
    "PostConfirmation_ConfirmSignUp": ("1", {}, {}),
    "PostConfirmation_ConfirmForgotPassword": ("1", {}, {}),
    **{
        f"TokenGeneration_{source}@{version}": (version, _TOKEN, _TOKEN_ANSWER)
        for source in _TOKEN_SOURCES
        for version in ("2", "3")
    },
    "TokenGeneration_ClientCredentials@3": (
        "3",
        {"scopes": ["wildrydes/fleet.telemetry"], "userAttributes": {}},
        _TOKEN_ANSWER,
    ),
    "PreAuthentication_Authentication": ("1", {"validationData": {}, "userNotFound": False}, {}),
    "PostAuthentication_Authentication": ("1", {"newDeviceUsed": True}, {}),
    "UserMigration_Authentication": (
        "1",
        {"password": "Aa1-correct-horse", "validationData": {}, "userAttributes": None},
        _MIGRATION_ANSWER,
    ),
    "UserMigration_ForgotPassword": (
        "1",
        {"validationData": {}, "userAttributes": None},
        _MIGRATION_ANSWER,
    ),
    "DefineAuthChallenge_Authentication": (
        "1",
        {"session": [], "userNotFound": False},
        {"challengeName": None, "issueTokens": None, "failAuthentication": None},
    ),
    "CreateAuthChallenge_Authentication": (
        "1",
        {"session": [], "challengeName": "CUSTOM_CHALLENGE", "userNotFound": False},
        {
            "publicChallengeParameters": None,
            "privateChallengeParameters": None,
            "challengeMetadata": None,
        },
    ),
    "VerifyAuthChallengeResponse_Authentication": (
        "1",
        {"privateChallengeParameters": {"code": "01234567"}, "challengeAnswer": "01234567"},
        {"answerCorrect": None},
    ),
}
"""By trigger source, with `@version` where a source has several: version, request, response."""


def an_event(
    name: str, attributes: Mapping[str, str] | None = None, **request: Any
) -> dict[str, Any]:
    """The event of this source, with these fields of its request."""
    version, fields, response = copy.deepcopy(SHAPES[name])
    return {
        "version": version,
        "triggerSource": name.partition("@")[0],
        "region": "us-east-1",
        "userPoolId": POOL_ID,
        "userName": USER["sub"],
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": CLIENT_ID},
        "request": {
            "userAttributes": dict(USER | (attributes or {})),
            "clientMetadata": {},
            **fields,
            **request,
        },
        "response": dict(response),
    }


def a_pool_event(**detail: Any) -> dict[str, Any]:
    """As EventBridge delivers a call that CloudTrail recorded."""
    return {
        "version": "0",
        "source": "aws.cognito-idp",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {
            "eventSource": "cognito-idp.amazonaws.com",
            "eventName": "AdminRemoveUserFromGroup",
            "eventTime": "2026-11-26T15:00:00Z",
            "requestParameters": {
                "userPoolId": "us-east-1_Example",
                "username": SUB,
                "groupName": "admin",
            },
            "additionalEventData": {},
            **detail,
        },
    }
