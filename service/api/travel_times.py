"""Routes of staff about travel times: what each zone has learned, and how well ETAs came true."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response
from pydantic import AliasPath, Field

from service.api.views import View
from service.auth import policy
from service.core.legs import travel_times_reports
from service.http.context import dependencies
from service.http.responses import answer
from service.http.route import Route
from service.matching.correction import Kind

blueprint: Final = Blueprint("admin_times", __name__)


class TimesView(View):
    """Travel times of one zone and kind of drive; shares are from 0 to 1, null without drives."""

    zone: str
    kind: Kind
    is_learned: bool
    latest_factor: float
    """The time within which nine of ten drives end, divided by the time that riders are told."""
    legs: int
    promises: int = Field(validation_alias=AliasPath("kept", "quotes"))
    told_ratio_median: float | None = Field(validation_alias=AliasPath("kept", "median_ratio"))
    within_20_percent: float | None = Field(validation_alias=AliasPath("kept", "near"))
    by_latest: float | None = Field(validation_alias=AliasPath("kept", "in_time"))


class TimesListView(View):
    travel_times: list[TimesView]
    next_cursor: str | None


@Route(
    blueprint,
    "GET",
    "/v1/admin/travel-times",
    policy=policy.ADMIN_READ,
    answers={200: TimesListView},
)
def list_travel_times() -> Response:
    """Compare the ETAs that riders were told with the times that drives took.

    By zone and kind of drive, over the last 500 drives of each.
    """
    reports = travel_times_reports(dependencies().ports)
    return answer(200, TimesListView.of(travel_times=reports, next_cursor=None))
