"""Sends the calls to DynamoDB without botocore's HTTP stack, for less than half the CPU.

botocore still builds each request, and callers still get botocore's answers, errors and events. At
the event `before-call`, this module signs the request by the host's clock, corrected by DynamoDB's
(which botocore cannot do), sends it and reads the JSON answer as it is: an instant stays a number,
binary data stays text (the service reads neither). botocore itself sends requests with other kinds
of signatures, and every call if the environment names a proxy.
"""

from __future__ import annotations

import json
import time
import weakref
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore import exceptions as failures
from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.httpsession import get_cert_path
from botocore.parsers import create_parser
from botocore.utils import get_environ_proxies

from service.stores.dynamodb.connections import Connections, HttpAnswer
from service.stores.dynamodb.signature import signed_headers

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient


def send_directly(client: DynamoDBClient, session: Session) -> None:
    """Install the short way for this client of the session. Call it after any fork."""
    credentials = session.get_credentials()
    if credentials is None or get_environ_proxies(client.meta.endpoint_url):
        return
    certificates = session.get_config_variable("ca_bundle") or get_cert_path(True)
    connections = Connections(certificates)
    events: Any = client.meta.events
    way = _Way(events, credentials, connections)
    # Registered for all operations and last, so that botocore's own handlers run before it:
    # botocore calls the handlers of a longer event name first.
    events.register_last("before-call", way.call)
    weakref.finalize(client, connections.close)


class _Way:
    """The short way of one client."""

    def __init__(self, events: Any, credentials: Credentials, connections: Connections) -> None:
        self._events = events
        self._credentials = credentials
        self._connections = connections
        self._ahead_seconds = 0.0
        """How far DynamoDB's clock was ahead of the host's at its last answer with status 400."""

    def call(
        self, model: Any, params: Any, request_signer: Any, context: Any, **_: object
    ) -> tuple[HttpAnswer, dict[str, Any]] | None:
        """The answer to a request that botocore has built; None lets botocore send it."""
        if request_signer.signature_version != "v4" or context["auth_type"] not in {None, "v4"}:
            return None
        region = context.get("signing", {}).get("region") or request_signer.region_name
        try:
            answer = self._sent(model.name, params, region)
            return answer, _parsed(model, answer)
        except Exception as error:
            event = f"after-call-error.dynamodb.{model.name}"
            self._events.emit(event, exception=error, context=context)
            raise

    def _sent(self, operation: str, params: Any, region: str) -> HttpAnswer:
        """Sign and send the request, unless a handler of `before-send` answers it."""
        credentials = self._credentials.get_frozen_credentials()
        signed = signed_headers(params, credentials, region, time.time() + self._ahead_seconds)
        headers: Any = HeadersDict({name: value.encode() for name, value in signed.items()})
        request = AWSPreparedRequest("POST", params["url"], headers, params["body"], False)
        replies = self._events.emit(f"before-send.dynamodb.{operation}", request=request)
        given: HttpAnswer | None = next((reply for _, reply in replies if reply), None)
        answer = given or self._connections.post(request)
        if answer.status_code == 400:
            # DynamoDB refuses a signature that is five minutes off by its own clock.
            with suppress(TypeError, ValueError):
                its_time = parsedate_to_datetime(answer.headers.get("Date")).timestamp()
                self._ahead_seconds = its_time - time.time()
        return answer


def _parsed(model: Any, answer: HttpAnswer) -> dict[str, Any]:
    """The answer in the form that botocore's parser gives it."""
    if answer.status_code >= 300:
        return _refusal(model, answer)
    try:
        parsed: dict[str, Any] = json.loads(answer.content)
    except ValueError:
        raise failures.ConnectionClosedError(endpoint_url="DynamoDB") from None
    parsed["ResponseMetadata"] = {
        "RequestId": answer.headers.get("x-amzn-RequestId", ""),
        "HTTPStatusCode": answer.status_code,
        "HTTPHeaders": {name.lower(): value for name, value in answer.headers.items()},
    }
    return parsed


def _refusal(model: Any, answer: HttpAnswer) -> dict[str, Any]:
    """An error answer in botocore's form, with the fields of this kind of error."""
    parser = create_parser(model.service_model.resolved_protocol)
    response = {
        "headers": HeadersDict(answer.headers),
        "status_code": answer.status_code,
        "body": answer.content,
        "context": {"operation_name": model.name},
    }
    parsed: dict[str, Any] = parser.parse(response, model.output_shape)
    shape = model.service_model.shape_for_error_code(parsed["Error"]["Code"])
    return parsed | parser.parse(response, shape) if shape else parsed
