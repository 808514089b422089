"""Fifty simulated unicorns around lower Manhattan: real API clients, each with its own account.

Run as `python -m service.local.herd`. They use only HTTP: an admin's token enrols them, each sends
a position every four seconds and waits for rides by long poll. `HERD_SPEED` (20): how many times
faster than traffic they drive.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import urllib3
from urllib3.exceptions import HTTPError

from service.local.client import Account, Client
from service.local.driver import BACK_OFF_SECONDS, Description, Driver, Refused
from service.local.identity import HERD, USER_SCOPES
from service.local.login import Login, LoginFailed

POSITION_SECONDS = 4.0
JOINING_AT_A_TIME = 4
_NAMES = (
    "Bucephalus Shadowfax Rocinante Pegasus Sleipnir Arion Balius Xanthus Bayard Brego "
    "Hasufel Arod Snowmane Felarof Nahar Asfaloth Bill Gringolet Llamrei Hengroen "
    "Marengo Copenhagen Comanche Traveller Cincinnati Incitatus Babieca Rakhsh Chetak Tulpar "
    "Uchchaihshravas Al-Buraq Embarr Enbarr Grani Gulltoppr Hofvarpnir Skinfaxi Hrimfaxi Arvak "
    "Alsvid Epona Areion Hippocampus Abraxas Aethon Phlegon Pyrois Eous Lampon"
)
COLORS = ("White", "Golden", "Silver", "Black", "Chestnut", "Grey", "Palomino")

logger = logging.getLogger("herd")


class Herd:
    """All drivers of one stack."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings`: `HERD_API_URL`, `HERD_LOGIN_URL`, `…_CLIENT_ID`, `…_REDIRECT_URI`,
        `…_PASSWORD`, and optionally `HERD_SPEED`."""
        self.ending = threading.Event()
        self._settings = settings
        # One connection per long poll, and some for positions.
        http = urllib3.PoolManager(maxsize=100)
        self._login = Login(
            settings["HERD_LOGIN_URL"],
            settings["HERD_CLIENT_ID"],
            settings["HERD_REDIRECT_URI"],
            http,
        )
        self._admin = self._client("admin", USER_SCOPES["admin"])
        speed = float(settings.get("HERD_SPEED", "20"))
        self._drivers = [
            Driver(description, self._client(description.unicorn_id, USER_SCOPES["unicorn"]), speed)
            for description in descriptions()
        ]

    def run(self) -> None:
        """Join the fleet, a few at a time so that riders are not crowded out, and drive."""
        with ThreadPoolExecutor(JOINING_AT_A_TIME) as pool:
            joined = sum(pool.map(self._joined, self._drivers))
        logger.info("%d unicorns are on the road", joined)
        for driver in self._drivers:
            threading.Thread(target=driver.follow, args=(self.ending,), daemon=True).start()
        self._keep_reporting()

    def _client(self, user: str, scopes: Sequence[str]) -> Client:
        account = Account(user, self._settings["HERD_PASSWORD"], scopes)
        return Client(self._settings["HERD_API_URL"], self._login, account)

    def _joined(self, driver: Driver) -> bool:
        """Try to join until it succeeds or the herd ends; returns whether it succeeded."""
        while not self.ending.is_set():
            try:
                driver.join(self._admin)
            except (HTTPError, LoginFailed, Refused) as error:
                logger.warning("joining: %s", error)
                self.ending.wait(BACK_OFF_SECONDS)
            else:
                return True
        return False

    def _keep_reporting(self) -> None:
        """Send every unicorn's position in turn, spread evenly over the period."""
        while not self.ending.is_set():
            for driver in self._drivers:
                try:
                    driver.report()
                except (HTTPError, LoginFailed, Refused) as error:
                    logger.warning("position: %s", error)
                    self.ending.wait(BACK_OFF_SECONDS)
                if self.ending.wait(POSITION_SECONDS / len(self._drivers)):
                    return


def descriptions() -> list[Description]:
    """The same fifty unicorns at every start."""
    dice = random.Random("herd")  # noqa: S311 - a draw, not a secret
    return [
        Description(unicorn_id, name, dice.choice(COLORS), dice.choice(("Female", "Male")))
        for unicorn_id, name in zip(HERD, _NAMES.split(), strict=True)
    ]


def run(settings: Mapping[str, str]) -> None:
    """Run the herd until SIGTERM or SIGINT; see `Herd` for the settings."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    herd = Herd(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: herd.ending.set())
    herd.run()


if __name__ == "__main__":
    run(os.environ)
