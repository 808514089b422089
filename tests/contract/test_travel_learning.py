"""Legs and corrections on their real stores, and on the fakes that stand for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from service.core.ports import Legs
from service.matching.correction import AS_ESTIMATED, Correction, Kind, Leg
from service.matching.quotes import QuotedEta
from service.model.errors import Unavailable
from service.observability.instruments import QUOTES, TOLD_RATIO
from service.settings import Settings
from service.stores import corrections
from service.stores.corrections import DynamoCorrections, KnownCorrections
from service.stores.redis import keys, legs
from service.stores.redis.legs import RedisLegs
from service.stores.redis.link import RedisLink, connect
from tests.support import fakes_redis
from tests.support.fakes_redis import FakeLegs
from tests.support.infrastructure import wait_until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEG = Leg("892a100d2d7ffff", "892a100d2d3ffff", 812.5, 1.25, 173.6, 1.7e9, 240.0, "u1")
KEPT = QuotedEta(200.0, 400.0, 240.0)
LEARNED = Correction(
    by_distance=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    by_direction=(0.01, -0.02, 0.03, -0.04),
    by_origin={"a": 0.1},
    by_destination={"b": -0.1},
    by_hour={"17": 0.05},
    spread=0.35,
    pace=1.8,
)


@pytest.fixture(params=["fake", "redis"])
def store(request: pytest.FixtureRequest) -> Legs:
    if request.param == "fake":
        return FakeLegs()
    return RedisLegs(request.getfixturevalue("link"))


def test_legs_are_kept_by_zone_and_kind_newest_first(store: Legs) -> None:
    store.add("zone-1", Kind.PICKUP, LEG, KEPT)
    store.add("zone-1", Kind.TRIP, LEG._replace(seconds=900.0), KEPT)
    store.add("zone-1", Kind.PICKUP, LEG._replace(seconds=241.0), KEPT)
    store.add("zone-2", Kind.TRIP, LEG, KEPT)
    assert [leg.seconds for leg in store.recent("zone-1", Kind.PICKUP)] == [241.0, 240.0]
    assert store.recent("zone-1", Kind.TRIP) == [LEG._replace(seconds=900.0)]
    assert store.recent("zone-2", Kind.PICKUP) == []
    assert set(store.zones()) == {"zone-1", "zone-2"}


def test_a_limited_number_of_legs_is_kept(store: Legs, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (legs, fakes_redis):
        monkeypatch.setattr(module, "MOST_LEGS", 3)
    for seconds in range(5):
        store.add("zone-1", Kind.PICKUP, LEG._replace(seconds=float(seconds)), KEPT)
    assert [leg.seconds for leg in store.recent("zone-1", Kind.PICKUP)] == [4.0, 3.0, 2.0]


@pytest.mark.parametrize(
    "unreadable",
    [
        *("", "no json", "[1, 2]", "{}", "null", "\x00", "[NaN, 60, 60]", "[60, 1e999, 60]"),
        json.dumps(LEG._replace(bearing=float("nan"))),
        json.dumps(LEG._replace(started=float("nan"))),
        json.dumps(LEG._replace(estimated=float("inf"))),
    ],
)
def test_an_unreadable_leg_alone_is_left_out(link: RedisLink, unreadable: str) -> None:
    store = RedisLegs(link)
    store.add("zone-1", Kind.PICKUP, LEG, KEPT)
    with link.use() as client:
        client.lpush(keys.legs("zone-1", Kind.PICKUP), unreadable)
        client.lpush(keys.quotes("zone-1", Kind.PICKUP), unreadable)
    assert store.recent("zone-1", Kind.PICKUP) == [LEG]
    assert store.quotes("zone-1", Kind.PICKUP) == [KEPT]


def test_quotes_are_kept_beside_legs_also_for_drives_that_did_not_happen(
    store: Legs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (legs, fakes_redis):
        monkeypatch.setattr(module, "MOST_QUOTES", 2)
    late = QuotedEta(60.0, 120.0, None)
    for quote in (KEPT, late, KEPT):
        store.add("zone-1", Kind.PICKUP, None, quote)
    assert store.quotes("zone-1", Kind.PICKUP) == [KEPT, late]
    assert store.quotes("zone-1", Kind.TRIP) == store.recent("zone-1", Kind.PICKUP) == []
    assert set(store.zones()) == {"zone-1"}


def test_the_metrics_count_quotes_in_time_and_late_even_if_redis_is_away() -> None:
    nobody = RedisLegs(RedisLink(connect("redis://127.0.0.1:1/0", timeout_seconds=0.1)))
    for quote in (KEPT, QuotedEta(60.0, 120.0, None)):
        with pytest.raises(Unavailable):
            nobody.add("zone-9", Kind.TRIP, None, quote)
    kept = {
        name: QUOTES.labels("zone-9", "trip", name)._value.get() for name in ("in_time", "late")
    }
    assert kept == {"in_time": 1, "late": 1}
    assert TOLD_RATIO.labels("zone-9", "trip")._sum.get() == pytest.approx(200 / 240)


@pytest.fixture
def stored(dynamodb: DynamoDBClient, tables: Settings) -> Callable[[str], DynamoCorrections]:
    return lambda base: DynamoCorrections(dynamodb, tables.operations_table, base)


def test_a_correction_is_stored_whole(stored: Callable[[str], DynamoCorrections]) -> None:
    assert stored("line").of("zone-1", Kind.PICKUP) is None
    stored("line").put("zone-1", Kind.PICKUP, LEARNED)
    assert stored("line").of("zone-1", Kind.PICKUP) == LEARNED
    assert stored("line").of("zone-1", Kind.TRIP) is None


def test_a_correction_of_the_last_release_has_the_pace_of_a_straight_line(
    stored: Callable[[str], DynamoCorrections], dynamodb: DynamoDBClient, tables: Settings
) -> None:
    fields = asdict(LEARNED)
    del fields["pace"]
    dynamodb.put_item(
        TableName=tables.operations_table,
        Item={
            "operation_id": {"S": "times#line#zone-1#pickup"},
            "correction": {"S": json.dumps(fields)},
        },
    )
    assert stored("line").of("zone-1", Kind.PICKUP) == replace(LEARNED, pace=1.0)


def test_what_was_learned_about_straight_lines_is_not_used_for_an_engine(
    stored: Callable[[str], DynamoCorrections],
) -> None:
    stored("line").put("zone-1", Kind.PICKUP, LEARNED)
    assert stored("engine").of("zone-1", Kind.PICKUP) is None


@pytest.mark.parametrize(
    "unsound",
    [
        replace(LEARNED, by_distance=(0.1,)),
        replace(LEARNED, spread=float("nan")),
        replace(LEARNED, spread=-0.1),
        replace(LEARNED, spread=1e9),
        replace(LEARNED, pace=0.0),
        replace(LEARNED, pace=1e9),
        replace(LEARNED, by_distance=(1e9, *LEARNED.by_distance[1:])),
        replace(LEARNED, by_direction=(0.0, 0.0, -1e9, 0.0)),
        replace(LEARNED, by_origin={"a": float("nan")}),
        replace(LEARNED, by_destination={"b": float("-inf")}),
        replace(LEARNED, by_hour={"17": 1e9}),
    ],
)
def test_an_impossible_correction_is_not_used(
    stored: Callable[[str], DynamoCorrections], unsound: Correction
) -> None:
    stored("line").put("zone-1", Kind.PICKUP, unsound)
    assert stored("line").of("zone-1", Kind.PICKUP) is None


@pytest.mark.parametrize("other", [{"N": "1"}, {"S": "[]"}, {"S": "?"}, None])
def test_a_correction_of_another_form_is_not_used(
    stored: Callable[[str], DynamoCorrections],
    dynamodb: DynamoDBClient,
    tables: Settings,
    other: Any,
) -> None:
    key = {"operation_id": {"S": "times#line#zone-1#pickup"}}
    item = key | ({"correction": other} if other else {})
    dynamodb.put_item(TableName=tables.operations_table, Item=item)
    assert stored("line").of("zone-1", Kind.PICKUP) is None


def test_a_process_learns_of_a_zone_soon_after_it_first_asked(
    stored: Callable[[str], DynamoCorrections], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "READ_EVERY_SECONDS", 0.05)
    stored("line").put("zone-1", Kind.PICKUP, LEARNED)
    known = KnownCorrections(stored("line")).start()
    try:
        assert known.of("zone-1", Kind.PICKUP) is None
        wait_until(lambda: known.of("zone-1", Kind.PICKUP) == LEARNED, "the first reading")
        stored("line").put("zone-1", Kind.PICKUP, AS_ESTIMATED)
        wait_until(lambda: known.of("zone-1", Kind.PICKUP) == AS_ESTIMATED, "the next reading")
    finally:
        known.close()
