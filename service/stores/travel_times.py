"""Builds the travel times that the settings name: straight lines, or those of a routing engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.travel_times import NEW_YORK, ZoneTimes
from service.matching.correction import AS_ESTIMATED
from service.matching.travel import GreatCircle, TravelTimes
from service.stores.corrections import DynamoCorrections
from service.stores.osrm import TableService
from service.stores.routed import RoutedTimes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from service.settings import Settings


def zone_times(settings: Settings, dynamodb: DynamoDBClient) -> ZoneTimes:
    """Travel times, corrected in each zone by what the zone has learned."""
    base = travel_times(settings)
    return ZoneTimes(
        base=base,
        make_round_base=base.for_a_round if isinstance(base, RoutedTimes) else None,
        corrections=learned_corrections(settings, dynamodb),
        prior=AS_ESTIMATED if settings.travel_times_url else NEW_YORK,
    )


def learned_corrections(settings: Settings, dynamodb: DynamoDBClient) -> DynamoCorrections:
    """The corrections that zones have learned for the estimate in use."""
    base = "engine" if settings.travel_times_url else "line"
    return DynamoCorrections(dynamodb, settings.operations_table, base)


def travel_times(settings: Settings, otherwise: TravelTimes | None = None) -> TravelTimes:
    """Travel times of the routing engine, if the settings name one; otherwise of straight lines.

    `otherwise`: the times of drives that the engine does not know; by default those of straight
    lines. Call this once per process, after any fork.
    """
    if not settings.travel_times_url:
        return GreatCircle()
    return RoutedTimes(
        TableService(settings.travel_times_url),
        otherwise or GreatCircle(),
        budget_seconds=settings.travel_times_budget_ms / 1000,
        most_places=settings.travel_times_max_table,
    )
