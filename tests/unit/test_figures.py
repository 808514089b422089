"""Which samples a figure counts: exactly those with the labels that it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from service.model import RideStatus
from service.observability.figures import FIGURES, Labels
from service.observability.instruments import MOVE_OUTCOMES

WEB: Final = {figure.name.removeprefix("wildrydes_"): figure for figure in FIGURES["web"]}
OF_WORKERS: Final = {figure.name.removeprefix("wildrydes_"): figure for figure in FIGURES["worker"]}
CONFLICTS: Final = {"ConditionalCheckFailedException", "TransactionCanceledException"}
COUNTED: Final[Mapping[str, tuple[str, set[str], set[str]]]] = {
    "rides_unmatched": ("outcome", {"unmatched"}, {str(each.value) for each in RideStatus}),
    "claims_lost": ("result", {"lost"}, {"failed", "lost", "won"}),
    "jobs_failed": ("state", {"FAILURE", "LOST", "TIMEOUT"}, {"SUCCESS"}),
    "moves": ("outcome", {"sent"}, set(MOVE_OUTCOMES)),
    "moves_rewarded": ("outcome", {"rewarded"}, set(MOVE_OUTCOMES)),
    "rides_not_coming": ("outcome", {"left", "held_back"}, {"taken_back"}),
    "dynamodb_errors": ("error", {"ThrottlingException", "EndpointConnectionError"}, CONFLICTS),
}
"""The label by which a figure chooses, the values that it counts, and others that there are."""


@pytest.mark.parametrize(("name", "choice"), COUNTED.items())
def test_a_figure_counts_the_values_that_it_means_and_no_others(
    name: str, choice: tuple[str, set[str], set[str]]
) -> None:
    label, counted, others = choice
    chosen = OF_WORKERS[name].chosen
    assert {value for value in counted | others if chosen({label: value})} == counted


REQUEST: Final = {"waited": "no", "route": "/v1/rides", "status": "404", "le": "0.25"}


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        ({}, {"plain_requests", "plain_requests_good", "plain_requests_quick"}),
        ({"le": "0.1"}, {"plain_requests", "plain_requests_good"}),
        ({"le": "0.5"}, {"plain_requests", "plain_requests_good"}),
        ({"status": "503"}, {"plain_requests"}),
        ({"waited": "yes"}, set()),
        ({"route": "/healthz"}, set()),
    ],
)
def test_the_requests_of_an_objective_are_plain_good_or_quick(
    change: Labels, counted: set[str]
) -> None:
    labels = REQUEST | dict(change)
    names = ("plain_requests", "plain_requests_good", "plain_requests_quick")
    assert {name for name in names if WEB[name].chosen(labels)} == counted
