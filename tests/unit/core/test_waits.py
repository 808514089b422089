"""A driver who waits for news hears only of the unicorn of the own account."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.core.unicorns import Duty
from service.core.watch import Wait, wait_for_duty
from service.model.errors import UnicornNotFound
from tests.support.service import Service


def news(service: Service, duty: Duty) -> Duty:
    clock = (lambda: service.now), (lambda: 0.0)
    return wait_for_duty(service.ports, duty, lambda _: True, 1, *clock, Wait())


def test_a_wait_for_duty_returns_the_callers_unicorn(service: Service) -> None:
    unicorn = service.on_duty(account_sub="driver-1")
    assert news(service, Duty(unicorn, None)).unicorn == unicorn


def test_a_unicorn_that_another_account_drives_by_now_is_not(service: Service) -> None:
    unicorn = service.on_duty(account_sub="driver-1")
    with pytest.raises(UnicornNotFound):
        news(service, Duty(replace(unicorn, account_sub="driver-2"), None))
