"""Who the herd's unicorns are."""

from __future__ import annotations

import random
from dataclasses import dataclass

from service.local.identity import HERD

_NAMES = (
    "Bucephalus Shadowfax Rocinante Pegasus Sleipnir Arion Balius Xanthus Bayard Brego "
    "Hasufel Arod Snowmane Felarof Nahar Asfaloth Bill Gringolet Llamrei Hengroen "
    "Marengo Copenhagen Comanche Traveller Cincinnati Incitatus Babieca Rakhsh Chetak Tulpar "
    "Uchchaihshravas Al-Buraq Embarr Enbarr Grani Gulltoppr Hofvarpnir Skinfaxi Hrimfaxi Arvak "
    "Alsvid Epona Areion Hippocampus Abraxas Aethon Phlegon Pyrois Eous Lampon"
)
COLORS = ("White", "Golden", "Silver", "Black", "Chestnut", "Grey", "Palomino")


@dataclass(frozen=True, slots=True)
class Description:
    """A unicorn as it is enrolled; its id is its account's user name."""

    unicorn_id: str
    name: str
    color: str
    gender: str


def herd() -> list[Description]:
    """The same fifty at every start."""
    dice = random.Random("herd")  # noqa: S311 - a draw, not a secret
    return [
        Description(unicorn_id, name, dice.choice(COLORS), dice.choice(("Female", "Male")))
        for unicorn_id, name in zip(HERD, _NAMES.split(), strict=True)
    ]
