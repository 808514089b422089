"""A rider, a driver and staff do on the pages what the pages are for, on real parts."""

from __future__ import annotations

import os
import re
import signal
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.browser.steps import choose, claims, open_streams_until, staff
from tests.browser.windows import DESKTOP, PHONE, Window
from tests.support.local_stack import LocalStack

Open = Callable[..., Window]


@pytest.fixture(scope="module")
def unicorn(pages: LocalStack, driver_account: str) -> str:
    """A unicorn that wants to be asked, driven by the demo user."""
    unicorn = {
        "unicorn_id": "rocinante",
        "name": "Rocinante",
        "color": "White",
        "gender": "Female",
        "account_sub": driver_account,
        "auto_accept": False,
    }
    assert staff(pages, "POST", "/v1/admin/unicorns", unicorn) == 201
    return "rocinante"


def test_a_driver_without_a_unicorn_is_told_which_account_to_enroll_and_looks_again(
    window: Open, password: str, driver_account: str, request: pytest.FixtureRequest
) -> None:
    driver = window(PHONE)
    driver.sign_in("/drive", "unicorn", password)
    driver.sees("#account", driver_account)
    driver.presses("Look again")
    driver.sees("#account", driver_account)
    request.getfixturevalue("unicorn")
    driver.presses("Look again")
    driver.sees("#unicorn-name", "Rocinante")


def test_a_rider_and_a_driver_whose_clock_is_wrong_complete_a_ride(
    rider: Window, window: Open, password: str, unicorn: str
) -> None:
    driver = window(PHONE)
    driver.page.clock.set_system_time(datetime.now() + timedelta(hours=1))
    driver.sign_in("/drive", "unicorn", password)
    driver.presses("Go on duty")
    driver.sees("#state", "on duty, free")
    choose(rider)
    rider.sees("#expect", "Pickup in")
    rider.presses("Request a unicorn")
    driver.sees("#ride-title", "A ride for you")
    assert "A ride for you" in driver.announced()
    driver.sees("#left", re.compile("^[1-9][0-9]? seconds left"))
    driver.presses("Accept")
    rider.sees("#ride-title", "Rocinante is on the way")
    rider.sees("#map .unicorn:not(.far)")
    driver.presses("I am at the pickup")
    rider.sees("#ride-title", "It is here")
    assert "It is here" in rider.announced()
    driver.presses("Start the ride")
    rider.sees("#ride-title", "Enjoy the ride")
    driver.presses("Complete the ride")
    rider.sees("#ride-title", "You have arrived")
    rider.page.get_by_label("4 of 5 stars").check(force=True)
    rider.presses("Rate")
    rider.sees("#notice", "Thank you")
    driver.page.locator("#today summary").click()
    driver.sees("#today-sum", "1 completed")
    rider.presses("Another ride")
    choose(rider)
    rider.presses("Request a unicorn")
    driver.sees("#ride-title", "A ride for you")
    driver.presses("Decline")
    expect(driver.page.locator("#ride")).to_be_hidden()
    assert "taken back" not in (driver.page.locator("#notice").text_content() or "")
    driver.presses("Go off duty")
    driver.sees("#state", "off duty")
    driver.presses("Sign out")
    driver.sees("#welcome")


def test_a_sign_out_with_a_token_that_has_ended_revokes_the_session_at_the_pool(
    rider: Window,
) -> None:
    ended = {"reason": "invalid_token"}
    rider.page.route("**/v1/me/sign-out", lambda route: route.fulfill(status=401, json=ended))
    with rider.page.expect_response(
        lambda answer: (
            answer.request.headers.get("x-amz-target", "").endswith(".RevokeToken")
            and answer.request.method == "POST"
        )
    ) as revoked:
        rider.presses("Sign out")
    assert revoked.value.ok
    rider.sees("#welcome")


def test_what_the_api_refuses_is_said_beside_its_field(rider: Window) -> None:
    rider.page.get_by_label("Pickup").fill("140.7, -74.0")
    rider.page.get_by_label("Pickup").press("Tab")
    rider.sees("#pickup-fault", "latitude")
    rider.page.get_by_label("Drop-off").fill("somewhere")
    rider.page.get_by_label("Drop-off").press("Tab")
    rider.sees("#dropoff-fault", "latitude and longitude")


def test_places_can_be_chosen_on_the_map_by_finger_and_by_keyboard(rider: Window) -> None:
    rider.page.locator("#map").click(position={"x": 150, "y": 120})
    rider.sees("#map .pin:not(.to)")
    rider.page.locator("#map").focus()
    rider.page.keyboard.press("Enter")
    rider.sees("#map .pin.to")
    rider.sees("#expect", "Nearby")


def test_a_ride_goes_on_after_the_network_was_lost_and_after_a_reload(
    rider: Window, pages: LocalStack, password: str
) -> None:
    choose(rider)
    with rider.page.expect_response(lambda answer: answer.url.endswith("/v1/rides")) as answered:
        rider.presses("Request a unicorn")
    ride_id = answered.value.json()["ride_id"]
    rider.sees("#ride-title", "Looking for your unicorn")
    rider.page.reload()
    rider.log_in("rider", password)
    rider.sees("#ride-title", "Looking for your unicorn")
    rider.context.set_offline(True)
    rider.sees("#notice", "No network")
    assert staff(pages, "POST", f"/v1/admin/rides/{ride_id}/cancel", {"reason": "Closed"}) == 200
    rider.context.set_offline(False)
    rider.sees("#ride-title", "Canceled")
    rider.sees("#ride-text", "Closed")


def test_a_token_that_has_ended_is_renewed_and_a_revoked_account_is_signed_out(
    rider: Window, pages: LocalStack
) -> None:
    choose(rider)
    rider.sees("#expect", "Nearby")
    (first,) = rider.tokens
    assert staff(pages, "POST", "/v1/admin/revocations", {"jti": claims(first)["jti"]}) == 204
    rider.page.get_by_label("Pickup").fill("40.7210, -74.0010")
    with rider.page.expect_response(lambda answer: "/estimates" in answer.url and answer.ok):
        rider.page.get_by_label("Pickup").press("Tab")
    assert len(rider.tokens) == 2
    sign_in = {"origin_jti": claims(first)["origin_jti"]}
    assert staff(pages, "POST", "/v1/admin/revocations", sign_in) == 204
    rider.page.get_by_label("Pickup").fill("40.7212, -74.0012")
    rider.page.get_by_label("Pickup").press("Tab")
    rider.sees("#welcome-problem", "Sign in again")


def pool_is_away(route: Route) -> None:
    route.abort("internetdisconnected")


def pool_answers(status: int, error: str) -> Callable[[Route], None]:
    headers = {"Access-Control-Allow-Origin": "*"}
    return lambda route: route.fulfill(status=status, json={"__type": error}, headers=headers)


@pytest.mark.parametrize(
    "trouble",
    [
        pool_is_away,
        pool_answers(400, "TooManyRequestsException"),
        pool_answers(400, "UnexpectedLambdaException"),
        pool_answers(403, "ForbiddenException"),
    ],
    ids=["away", "busy", "trigger away", "firewall"],
)
def test_a_rider_stays_signed_in_while_the_pool_cannot_renew_the_token(
    rider: Window, pages: LocalStack, trouble: Callable[[Route], None]
) -> None:
    choose(rider)
    rider.sees("#expect", "Nearby")
    (first,) = rider.tokens
    pool = f"{pages.settings['COGNITO_DOMAIN_URL']}/"
    rider.page.route(pool, trouble)
    assert staff(pages, "POST", "/v1/admin/revocations", {"jti": claims(first)["jti"]}) == 204
    rider.page.get_by_label("Pickup").fill("40.7210, -74.0010")
    rider.page.get_by_label("Pickup").press("Tab")
    rider.sees("#order-problem", "Sign-ins cannot be checked at the moment")
    rider.page.unroute(pool)
    rider.page.get_by_label("Pickup").fill("40.7212, -74.0012")
    with rider.page.expect_response(lambda answer: "/estimates" in answer.url and answer.ok):
        rider.page.get_by_label("Pickup").press("Tab")
    assert len(rider.tokens) == 2
    # Chromium reports the pool's answer, which the page has dealt with.
    rider.faults[:] = [fault for fault in rider.faults if "status of 40" not in fault]


ESTIMATES_BREAK_OFF = """() => {
  const whole = fetch;
  globalThis.fetch = async (address, options) => {
    const answer = await whole(address, options);
    if (!address.endsWith("/v1/estimates")) return answer;
    const start = (body) => body.error(new TypeError("network error"));
    return new Response(new ReadableStream({ start }));
  };
}"""


def test_an_answer_that_breaks_off_behind_its_head_is_a_lost_network(rider: Window) -> None:
    rider.page.evaluate(ESTIMATES_BREAK_OFF)
    rider.page.get_by_label("Pickup").fill("40.7210, -74.0010")
    rider.page.get_by_label("Pickup").press("Tab")
    rider.sees("#order-problem", "No answer from the service")


def test_two_tabs_of_a_rider_follow_one_ride_and_each_keeps_its_own_sign_in(
    rider: Window, window: Open, pages: LocalStack, password: str, unicorn: str
) -> None:
    driver = window(PHONE)
    driver.sign_in("/drive", "unicorn", password)
    driver.presses("Go on duty")
    driver.sees("#state", "on duty, free")
    choose(rider)
    rider.presses("Request a unicorn")
    rider.sees("#ride-title", "Asking a unicorn")
    driver.presses("Accept")
    other = window(beside=rider)
    other.sign_in("/", "rider", password)
    for tab in (rider, other):
        tab.sees("#ride-title", "Rocinante is on the way")
    (ended,) = other.tokens
    with other.page.expect_response(lambda answer: answer.url.endswith("/events") and answer.ok):
        assert staff(pages, "POST", "/v1/admin/revocations", {"jti": claims(ended)["jti"]}) == 204
    assert (len(rider.tokens), len(other.tokens)) == (1, 2)
    driver.presses("I am at the pickup")
    for tab in (rider, other):
        tab.sees("#ride-title", "It is here")
    other.presses("Cancel this ride")
    rider.sees("#ride-title", "Canceled")
    driver.sees("#notice", "taken back or canceled")
    driver.presses("Go off duty")
    driver.sees("#state", "off duty")
    other.presses("Sign out")
    other.sees("#welcome")
    rider.presses("Another ride")
    choose(rider)
    rider.sees("#expect", "Nearby")


def test_a_rider_with_too_many_windows_follows_the_ride_in_the_one_that_is_looked_at(
    rider: Window, pages: LocalStack
) -> None:
    choose(rider)
    with rider.page.expect_response(lambda answer: answer.url.endswith("/events")) as followed:
        rider.presses("Request a unicorn")
    path = urlsplit(followed.value.url).path
    problem = rider.page.locator("#ride-problem")

    def is_told() -> bool:
        rider.page.wait_for_timeout(500)
        return "You follow this ride in another window" in problem.inner_text()

    open_streams_until(pages, path, is_told)
    with rider.page.expect_response(lambda answer: answer.url.endswith("/events") and answer.ok):
        rider.presses("Follow it here")
    expect(problem).to_be_empty()
    expect(rider.page.get_by_role("button", name="Follow it here")).to_have_count(0)
    ride_id = path.split("/")[3]
    assert staff(pages, "POST", f"/v1/admin/rides/{ride_id}/cancel", {}) == 200
    rider.sees("#ride-title", "Canceled")


def busy_for_a_minute(route: Route) -> None:
    """The statistics of a service that has just begun: one minute has a share of busy unicorns."""
    statistics = route.fetch().json()
    statistics["minutes"][-1]["busy_share"] = 0.28
    route.fulfill(json=statistics)


def test_an_admin_enrolls_changes_and_finds_a_unicorn_and_pauses_dispatch(
    window: Open, pages: LocalStack, password: str
) -> None:
    admin = window(DESKTOP)
    admin.page.route("**/v1/admin/statistics", busy_for_a_minute)
    admin.sign_in("/console", "admin", password)
    admin.sees("#role", "admin")
    admin.sees("#chart-match svg")
    admin.sees("#chart-busy rect:last-of-type")
    admin.page.get_by_role("tab", name="Fleet").click()
    admin.presses("Enroll a unicorn")
    unicorn_id = f"u-{uuid.uuid4().hex[:8]}"
    admin.page.locator("#f-unicorn_id").fill(unicorn_id)
    admin.presses("Enroll")
    admin.sees("#f-name-fault", "at least 1 character")
    for field, value in {"name": "Bucephalus", "color": "Black", "gender": "Male"}.items():
        admin.page.locator(f"#f-{field}").fill(value)
    admin.presses("Enroll")
    admin.sees("#unicorn", unicorn_id)
    admin.presses("Put on duty")
    admin.sees("#unicorn", "Take off duty")
    rows = f"name,color,gender,unicorn_id\nPegasus,White,Male,{unicorn_id}-2\n,Red,Female,\n"
    file = {"name": "herd.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    admin.page.locator("#csv").set_input_files(files=[file])  # type: ignore[list-item]
    admin.sees("#import", "1 of 2 unicorns enrolled")
    admin.sees("#import", "Line 3: name")
    admin.page.get_by_role("tab", name="Service").click()
    admin.sees("#workers", "running")
    admin.sees("#times", re.compile("zone|No drive has ended yet"))
    admin.page.locator("#zone").fill("nowhere")
    admin.presses("Pause dispatch")
    admin.presses("Pause")
    admin.sees("#zone-fault", "match")
    admin.page.locator("#zone").fill("")
    admin.presses("Pause dispatch")
    admin.presses("Pause")
    admin.sees("#dispatch", "Paused everywhere")
    admin.presses("Resume dispatch")
    admin.sees("#dispatch", "Rides are matched everywhere")
    (worker,) = pages.call("GET", "/v1/admin/workers", token="ADMIN_TOKEN")["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    admin.sees("#workers", "lost")
    admin.sees("#workers", "running")
    admin.page.get_by_role("tab", name="Audit").click()
    admin.sees("#entries li:first-child strong", "dispatch resumed")


def test_a_dispatcher_sees_a_waiting_ride_with_its_timeline_and_no_button_that_is_refused(
    window: Open, rider: Window, password: str
) -> None:
    choose(rider)
    rider.presses("Request a unicorn")
    rider.sees("#ride-title", "Looking for your unicorn")
    dispatcher = window(DESKTOP)
    dispatcher.sign_in("/console", "dispatcher", password)
    dispatcher.page.locator("#waiting button").first.click()
    dispatcher.sees("#ride .timeline", "Requested")
    for tab, refused in {
        "Rides": [],
        "Fleet": ["Enroll a unicorn", "Edit", "Remove"],
        "Service": ["Pause dispatch", "Replay", "Revoke"],
    }.items():
        dispatcher.page.get_by_role("tab", name=tab).click()
        for name in refused:
            assert dispatcher.page.get_by_role("button", name=name, exact=True).count() == 0
    dispatcher.page.get_by_role("tab", name="Rides").click()
    dispatcher.page.locator("#ride").get_by_role("button", name="Cancel ride").click()
    dispatcher.page.locator("#sure-yes").click()
    rider.sees("#ride-title", "Canceled")


@pytest.mark.parametrize("path", ["/drive", "/console"])
def test_an_account_that_a_page_is_not_for_is_turned_away(
    window: Open, password: str, path: str
) -> None:
    stranger = window(PHONE)
    stranger.opens_login(path)
    stranger.log_in("rider", password)
    stranger.sees("#welcome-problem", "account")
    stranger.sees("#sign-out")
