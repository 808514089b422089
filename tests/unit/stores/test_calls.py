"""What DynamoDB does only under load (conflicts, throttling, faults), played back by a stub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

from service.core.ports import WriteConflict
from service.model.errors import AccountTaken, Unavailable, UnicornExists
from service.stores.control import DynamoControl
from service.stores.dynamodb.assignments import DynamoAssignments
from service.stores.dynamodb.calls import (
    LONGEST_PAUSE_SECONDS,
    PATIENCE_SECONDS,
    ConditionFailed,
    patiently,
    write,
)
from service.stores.dynamodb.items import SHARDS, ride_item, unicorn_item
from service.stores.dynamodb.listings import DynamoRoster
from service.stores.dynamodb.rides import DynamoRides
from service.stores.dynamodb.unicorns import DynamoUnicorns
from service.stores.revocations import DynamoRevocations
from tests.support.builders import NOW, a_matched_pair, a_ride, a_unicorn, a_usable_unicorn
from tests.support.infrastructure import free_port

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHORT = 1.0
NONE = {"Code": "None"}
CONFLICT = {"Code": "TransactionConflict"}
FAILED = {"Code": "ConditionalCheckFailed"}


@pytest.fixture
def client() -> Iterator[DynamoDBClient]:
    client = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{free_port()}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    yield client
    client.close()


@pytest.fixture
def stub(client: DynamoDBClient) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber


@pytest.fixture
def rides(client: DynamoDBClient) -> DynamoRides:
    return DynamoRides(client, "Rides", patience_seconds=SHORT)


def refuse(stub: Stubber, method: str, code: str, status: int = 400, **fields: Any) -> None:
    stub.add_client_error(method, code, http_status_code=status, modeled_fields=fields)


def cancel(stub: Stubber, *reasons: dict[str, Any]) -> None:
    code = "TransactionCanceledException"
    refuse(stub, "transact_write_items", code, CancellationReasons=list(reasons))


def claim(client: DynamoDBClient) -> None:
    ride, unicorn = a_ride(), a_usable_unicorn()
    matched, reserved = a_matched_pair(ride, unicorn)
    assignments = DynamoAssignments(client, "Rides", "Unicorns", patience_seconds=SHORT)
    assignments.commit((ride, matched), (unicorn, reserved))


@pytest.mark.parametrize(
    "reasons",
    [
        (CONFLICT, NONE),
        (NONE, CONFLICT),
        (NONE, {"Code": "ThrottlingError"}),
        ({"Code": "ProvisionedThroughputExceeded"}, NONE),
    ],
)
def test_a_claim_waits_for_an_item_that_is_busy(
    client: DynamoDBClient, stub: Stubber, reasons: tuple[dict[str, Any], ...]
) -> None:
    cancel(stub, *reasons)
    cancel(stub, *reasons)
    stub.add_response("transact_write_items", {})
    claim(client)
    stub.assert_no_pending_responses()


def test_a_retried_claim_keeps_its_token_and_its_write_id(
    client: DynamoDBClient, stub: Stubber
) -> None:
    sent: list[dict[str, Any]] = []
    client.meta.events.register(
        "before-parameter-build.dynamodb", lambda params, **_: sent.append(params)
    )
    cancel(stub, CONFLICT, NONE)
    stub.add_response("transact_write_items", {})
    claim(client)
    first, second = sent
    assert first == second
    write_ids = {
        action["Update"]["ExpressionAttributeValues"][":last_write_id"]["S"]
        for action in first["TransactItems"]
    }
    assert write_ids == {first["ClientRequestToken"]}


def test_a_claim_on_an_item_that_stays_busy_is_given_up(
    client: DynamoDBClient, stub: Stubber
) -> None:
    for _ in range(100):
        cancel(stub, CONFLICT, NONE)
    with pytest.raises(Unavailable):
        claim(client)


def test_a_failed_condition_is_a_decision_even_beside_a_conflict(
    client: DynamoDBClient, stub: Stubber
) -> None:
    stored = a_usable_unicorn(version=7)
    cancel(stub, CONFLICT, FAILED | {"Item": unicorn_item(stored)})
    with pytest.raises(WriteConflict) as lost:
        claim(client)
    assert (lost.value.ride, lost.value.unicorn) == (None, stored)
    stub.assert_no_pending_responses()


def test_reasons_are_read_by_position(client: DynamoDBClient, stub: Stubber) -> None:
    stored = a_ride(version=7)
    cancel(stub, FAILED | {"Item": ride_item(stored)}, NONE)
    with pytest.raises(WriteConflict) as lost:
        claim(client)
    assert (lost.value.ride, lost.value.unicorn) == (stored, None)


@pytest.mark.parametrize(
    ("reasons", "expected"), [((FAILED, NONE), UnicornExists), ((NONE, FAILED), AccountTaken)]
)
def test_an_enrolment_distinguishes_a_used_id_from_a_used_account(
    client: DynamoDBClient,
    stub: Stubber,
    reasons: tuple[dict[str, Any], ...],
    expected: type[Exception],
) -> None:
    cancel(stub, *reasons)
    with pytest.raises(expected):
        DynamoUnicorns(client, "Unicorns").create(a_unicorn(account_sub="sub-1"))


@pytest.mark.parametrize(
    "code",
    [
        "TransactionConflictException",
        "TransactionInProgressException",
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
    ],
)
def test_a_single_write_waits_for_a_busy_item(rides: DynamoRides, stub: Stubber, code: str) -> None:
    refuse(stub, "update_item", code)
    stub.add_response("update_item", {})
    rides.save(a_ride(), a_ride().unmatched(NOW))
    stub.assert_no_pending_responses()


def test_a_throttled_read_is_given_up_at_the_end_of_patience(
    rides: DynamoRides, stub: Stubber
) -> None:
    for _ in range(100):
        refuse(stub, "get_item", "ThrottlingException")
    with pytest.raises(Unavailable):
        rides.get("ride-1")


FAULTS = pytest.mark.parametrize(
    ("code", "status"), [("InternalServerError", 500), ("Whatever", 503)]
)


@FAULTS
def test_a_call_is_made_again_after_a_fault_of_the_server(
    rides: DynamoRides, stub: Stubber, code: str, status: int
) -> None:
    refuse(stub, "put_item", code, status)
    stub.add_response("put_item", {})
    assert rides.create(a_ride()) is None
    stub.assert_no_pending_responses()


@FAULTS
def test_a_server_that_stays_faulty_is_unavailable(
    rides: DynamoRides, stub: Stubber, code: str, status: int
) -> None:
    for _ in range(100):
        refuse(stub, "put_item", code, status)
    with pytest.raises(Unavailable, match=code):
        rides.create(a_ride())


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_what_only_an_operator_can_mend_is_not_tried_again(
    rides: DynamoRides, stub: Stubber, code: str
) -> None:
    refuse(stub, "get_item", code)
    with pytest.raises(Unavailable, match=code):
        rides.get("ride-1")


def test_tries_end_when_the_budget_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """And pauses grow and differ, so that those who collided part."""
    clock, pauses = [0.0], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    def call() -> None:
        clock[0] += 0.001
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1")

    monkeypatch.setattr("service.stores.dynamodb.calls.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("service.stores.dynamodb.calls.time.sleep", sleep)
    with pytest.raises(Unavailable, match="EndpointConnectionError"):
        patiently(call, PATIENCE_SECONDS)
    assert clock[0] <= PATIENCE_SECONDS + 0.001
    assert len(set(pauses)) == len(pauses) > 5
    assert max(pauses) <= LONGEST_PAUSE_SECONDS


def test_a_wrong_request_raises_its_own_error(rides: DynamoRides, stub: Stubber) -> None:
    refuse(stub, "get_item", "ValidationException")
    with pytest.raises(ClientError, match="ValidationException"):
        rides.get("ride-1")


def test_a_transaction_that_is_wrong_is_not_retried(client: DynamoDBClient, stub: Stubber) -> None:
    cancel(stub, NONE, {"Code": "ValidationError"})
    with pytest.raises(ClientError, match="TransactionCanceled"):
        claim(client)


def failed_condition(last_write_id: str) -> ClientError:
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": ""},
        "CancellationReasons": [NONE, FAILED | {"Item": {"last_write_id": {"S": last_write_id}}}],
    }
    return ClientError(response, "TransactWriteItems")


def test_a_condition_failed_by_this_very_write_is_success() -> None:
    def call() -> None:
        raise failed_condition("mine")

    write(call, "mine", SHORT)
    with pytest.raises(ConditionFailed):
        write(call, "another", SHORT)


def test_without_patience_one_call_is_made() -> None:
    assert patiently(lambda: "answer", 0) == "answer"


def test_keys_left_unprocessed_are_asked_for_again(client: DynamoDBClient, stub: Stubber) -> None:
    ride, unicorn = a_ride(), a_usable_unicorn()
    keys = {"Unicorns": {"Keys": [{"unicorn_id": {"S": "u1"}}], "ConsistentRead": True}}
    stub.add_response(
        "batch_get_item", {"Responses": {"Rides": [ride_item(ride)]}, "UnprocessedKeys": keys}
    )
    stub.add_response(
        "batch_get_item",
        {"Responses": {"Unicorns": [unicorn_item(unicorn)]}, "UnprocessedKeys": {}},
        {"RequestItems": keys},
    )
    assignments = DynamoAssignments(client, "Rides", "Unicorns")
    assert assignments.pair("ride-1", "u1") == (ride, unicorn)


def test_keys_that_stay_unprocessed_are_unavailability(
    client: DynamoDBClient, stub: Stubber
) -> None:
    keys = {"Operations": {"Keys": [{"operation_id": {"S": "revocation#jti#x"}}]}}
    for _ in range(100):
        stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": keys})
    revocations = DynamoRevocations(client, "Operations", patience_seconds=SHORT)
    with pytest.raises(Unavailable):
        revocations.lookup({"jti": "x"}, NOW)


CONSISTENT: dict[str, tuple[str, dict[str, Any], Callable[[Any], object]]] = {
    "a ride": ("get_item", {}, lambda client: DynamoRides(client, "T").get("r1")),
    "a unicorn": ("get_item", {}, lambda client: DynamoUnicorns(client, "T").get("u1")),
    "the pause": ("get_item", {}, lambda client: DynamoControl(client, "T").current()),
    "unicorns": (
        *("batch_get_item", {"Responses": {}}),
        lambda client: DynamoUnicorns(client, "T").get_all(["u1"]),
    ),
    "a pair": (
        *("batch_get_item", {"Responses": {}}),
        lambda client: DynamoAssignments(client, "R", "U").pair("r1", "u1"),
    ),
    "the identifiers of a token": (
        *("batch_get_item", {"Responses": {}}),
        lambda client: DynamoRevocations(client, "T").lookup({"jti": "x"}, NOW),
    ),
    "changes of revocations": (
        *("batch_get_item", {"Responses": {}}),
        lambda client: DynamoRevocations(client, "T").changed(1, 2, NOW),
    ),
    "the number of changes": (
        *("get_item", {}),
        lambda client: DynamoRevocations(client, "T").last_change(),
    ),
    "all revocations": (
        *("scan", {"Items": []}),
        lambda client: DynamoRevocations(client, "T").read_all(NOW, 9),
    ),
    "the fleet": (
        *("scan", {"Items": []}),
        lambda client: DynamoRoster(client, "T").unicorns(limit=9, start=None),
    ),
}


@pytest.mark.parametrize("read", CONSISTENT)
def test_a_read_that_decides_something_is_consistent(
    client: DynamoDBClient, stub: Stubber, read: str
) -> None:
    sent: list[dict[str, Any]] = []
    client.meta.events.register(
        "before-parameter-build.dynamodb", lambda params, **_: sent.append(params)
    )
    method, answer, call = CONSISTENT[read]
    stub.add_response(method, answer)
    call(client)
    (params,) = sent
    requests = params.get("RequestItems", {"T": params}).values()
    assert [each["ConsistentRead"] for each in requests] == [True] * len(requests)


@pytest.mark.parametrize(
    "read",
    [
        lambda rides: list(rides.due_in_batches(SHARDS[0], NOW, 9, 9)),
        lambda rides: rides.list_of_rider("rider-1", status=None, limit=9, start=None),
    ],
    ids=["rides that are due", "rides of a rider"],
)
def test_rides_that_an_index_led_to_are_read_at_half_the_price(
    client: DynamoDBClient, stub: Stubber, read: Callable[[DynamoRides], object]
) -> None:
    """The index may be a moment old, so a consistent read would promise nothing."""
    sent: list[dict[str, Any]] = []
    client.meta.events.register(
        "before-parameter-build.dynamodb.BatchGetItem", lambda params, **_: sent.append(params)
    )
    entry = {"ride_id": {"S": "r1"}, "deadline_at": {"S": "2026-11-23T04:28:55.321Z"}}
    stub.add_response("query", {"Items": [entry]})
    stub.add_response("batch_get_item", {"Responses": {}})
    read(DynamoRides(client, "T"))
    assert [each["RequestItems"]["T"]["ConsistentRead"] for each in sent] == [False]
