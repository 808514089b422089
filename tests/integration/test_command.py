"""The operators' command line on real stores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.bootstrap import build_ports, redis_stores
from service.command.main import main
from service.core.dead_letters import CAUSE, set_aside_ride
from service.matching.zones import zone_of
from service.model import CanceledBy, RideStatus
from service.stores.dynamodb.rides import DynamoRides
from service.stores.dynamodb.schema import TABLES, definition
from service.stores.revocations import DynamoRevocations
from tests.support.builders import BATTERY_PARK, NOW, a_ride, a_unicorn
from tests.support.dynamodb import fresh_settings, service_client
from tests.support.fakes_redis import FakeRoundQueue
from tests.support.infrastructure import PROJECT, MiniStack, RedisServer

ZONE = zone_of(BATTERY_PARK)


class Command:
    """Runs the command line on tables of its own."""

    def __init__(self, ministack: MiniStack, redis_server: RedisServer) -> None:
        named = fresh_settings()
        self.settings = named.model_copy(update={"redis_url": redis_server.url})
        self.environment = {
            "REDIS_URL": redis_server.url,
            "RIDES_TABLE": named.rides_table,
            "UNICORNS_TABLE": named.unicorns_table,
            "OPERATIONS_TABLE": named.operations_table,
            **ministack.environment,
        }

    def run(self, *arguments: str | Path) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return CliRunner().invoke(main, list(map(str, arguments)))

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        done = self.run(*arguments, "--json")
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)


@pytest.fixture
def bare_command(ministack: MiniStack, redis_server: RedisServer) -> Command:
    """Without tables."""
    return Command(ministack, redis_server)


@pytest.fixture
def command(bare_command: Command) -> Command:
    bare_command.json("tables", "create")
    return bare_command


def test_tables_are_created_checked_and_mended(bare_command: Command, ministack: MiniStack) -> None:
    command = bare_command
    name = command.settings.operations_table
    assert f"{name}: no such table" in command.json("tables", "check", code=1)["faults"]
    old = definition(name, TABLES[-1])
    del old["GlobalSecondaryIndexes"]
    old["AttributeDefinitions"] = [{"AttributeName": "operation_id", "AttributeType": "S"}]
    ministack.dynamodb_client().create_table(**old)
    assert f"{name}: no index dead_letters" in command.json("tables", "check", code=1)["faults"]
    command.json("tables", "create")
    assert command.json("tables", "check") == {"faults": []}
    assert command.run("tables", "check").stdout == "as they should be\n"


def test_a_file_of_unicorns_is_enrolled_but_for_its_bad_lines(
    command: Command, ministack: MiniStack, tmp_path: Path
) -> None:
    path = tmp_path / "fleet.csv"
    path.write_bytes(
        "\n".join(
            [
                "\ufeffname,color,gender,unicorn_id,account_sub,auto_accept,latitude,longitude",
                "Shadowfax,White,Male,u1,driver-1,true,40.7,-74.0",
                "Bucephalus,,Male,u2,,,,",
                '"Rocinante, the good",Yellow,Female,u3,,FALSE,,',
                "Binky,White,Male,u1,,,,",
                "Pegasus,White,Male,u4,driver-1,,,",
                "Sleipnir,Grey,Male,u5,,perhaps,,",
                "Arion,Black,Male,u6,,,91,0",
                "Xanthos,Bay,Male,u7,,,40.7,",
                "Balios,Bay,Male,u8,,,40.7,-74.0,too much",
                "Rakhsh,\udcff,Male,u9,,,,",
                "Silver,White,Male,u10,,,,",
            ]
        ).encode(errors="surrogateescape")
    )
    done = command.run("fleet", "import", path, "--json")
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert answer["enrolled"] == 3
    assert [fault["line"] for fault in answer["faults"]] == [3, 5, 6, 7, 8, 9, 10, 11]
    messages = [fault["message"] for fault in answer["faults"]]
    assert messages[0].startswith("color: ")
    assert messages[1] == "unicorn 'u1' has name 'Shadowfax', this line says 'Binky'"
    assert "has unicorn_id 'u1', this line says 'u4'" in messages[2]
    assert messages[3].startswith("auto_accept: ")
    assert messages[3].endswith("found 'perhaps'")
    assert messages[4].startswith("latitude: ")
    assert messages[5].startswith("longitude: ")
    assert messages[6] == "9 fields for 8 columns"
    assert "not UTF-8" in messages[7]
    assert "line 3: color: " in done.stderr
    with service_client(ministack) as client:
        redis = redis_stores(command.settings, timeout_seconds=2)
        ports = build_ports(command.settings, redis, FakeRoundQueue(), client)
        rocinante = ports.unicorns.get("u3")
        assert rocinante
        assert (rocinante.name, rocinante.auto_accept) == ("Rocinante, the good", False)
        assert ports.unicorns.of_account("driver-1") == "u1"
        assert ports.unicorns.get("u9") is None


HEADER = "name,color,gender,unicorn_id,account_sub,auto_accept,latitude,longitude"


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_an_unclosed_quote_spoils_its_own_line_only(
    command: Command, tmp_path: Path, ending: str
) -> None:
    lines = [HEADER, *(f"Silver,White,Male,u{number}" for number in range(2, 12))]
    lines[4] = '"Silver,White,Male,u5'
    lines[8] = 'Silver",White,Male,u9'
    path = tmp_path / "fleet.csv"
    path.write_bytes(ending.join(lines).encode())
    answer = command.json("fleet", "import", path, code=1)
    assert answer["enrolled"] == 8
    assert [fault["line"] for fault in answer["faults"]] == [5, 9]
    assert all("quote" in fault["message"] for fault in answer["faults"])


def test_degrees_are_plain_decimals(command: Command, tmp_path: Path) -> None:
    numbers = ["4_0.7", "40,7", "nan", "1e1", "٤٠", "0x10", "40.7°", "--4"]
    path = tmp_path / "fleet.csv"
    lines = (f'Silver,White,Male,u1,,,"{number}",-74.0' for number in numbers)
    path.write_text("\n".join([HEADER, *lines]))
    faults = command.json("fleet", "import", path, code=1)["faults"]
    for number, fault in zip(numbers, faults, strict=True):
        assert fault["message"].startswith("latitude: ")
        assert fault["message"].endswith(f"found {number!r}")


def test_importing_a_file_again_changes_nothing_and_contradictions_are_named(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "fleet.csv"
    lines = [
        HEADER,
        "Silver,White,Male,u1,driver-1,true,40.7,-74.0",
        "",
        ",,,,,,,",
        " Gold , Yellow,Female,u2",
    ]
    path.write_text("\n".join(lines))
    assert command.json("fleet", "import", path) == {"enrolled": 2, "unchanged": 0, "faults": []}
    assert command.json("fleet", "import", path) == {"enrolled": 0, "unchanged": 2, "faults": []}
    path.write_text(f"{HEADER}\nSilver,Grey,Male,u1,driver-2\nGold,Yellow,Female,u2,,false\n")
    answer = command.json("fleet", "import", path, code=1)
    assert [fault["message"] for fault in answer["faults"]] == [
        "unicorn 'u1' has color 'White', this line says 'Grey', "
        "has account_sub 'driver-1', this line says 'driver-2'",
        "unicorn 'u2' has auto_accept True, this line says False",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "'name' is missing"),
        ("name,color\n", "'gender' is missing, found 'name', 'color'"),
        ("name,color,gender,wings\n", "no column 'wings'"),
        ("Name,color,gender\n", "no column 'Name', write 'name'"),
        ("name,color,gender,name\n", "'name' occurs twice"),
        ("name;color;gender\n", "separated by semicolons"),
        ("name\tcolor\tgender\n", "separated by tabs"),
        ('"name,color,gender\n', "quote"),
    ],
)
def test_a_file_with_other_columns_is_refused_whole_and_says_what_was_found(
    bare_command: Command, tmp_path: Path, text: str, found: str
) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(text)
    done = bare_command.run("fleet", "import", path)
    assert done.exit_code == 1
    assert "line 1: " in done.stderr
    assert found in done.stderr


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_utf_16_is_named_as_that(
    bare_command: Command, tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "fleet.csv"
    path.write_bytes(f"{HEADER}\nSilver,White,Male,u1\n".encode(encoding))
    done = bare_command.run("fleet", "import", path)
    assert done.exit_code == 1
    assert "save it as CSV in UTF-8" in done.stderr


def test_dispatch_is_paused_and_resumed(command: Command) -> None:
    lean = {"repositioning": "lean", "repositioning_by_zone": {}}
    paused = command.json("dispatch", "pause", "--zone", ZONE)
    assert paused == {"paused": False, "zones": [ZONE]} | lean
    assert command.json("dispatch", "pause")["paused"] is True
    assert command.json("dispatch", "status") == {"paused": True, "zones": [ZONE]} | lean
    assert command.json("dispatch", "resume") == {"paused": False, "zones": []} | lean
    for other in ("downtown", ZONE.upper(), "-1"):
        assert command.run("dispatch", "pause", "--zone", other).exit_code == 2


def test_a_subject_is_revoked(command: Command, ministack: MiniStack) -> None:
    command.json("revoke", "--sub", "rider-1")
    with service_client(ministack) as client:
        revocations = DynamoRevocations(client, command.settings.operations_table)
        assert revocations.lookup({"sub": "rider-1"}, NOW).keys() == {"sub"}
    assert command.run("revoke").exit_code == 2
    assert command.run("revoke", "--sub", "a", "--jti", "b").exit_code == 2


def test_dead_letters_are_listed_and_replayed_and_the_index_rebuilt(
    command: Command, ministack: MiniStack
) -> None:
    with service_client(ministack) as client:
        redis = redis_stores(command.settings, timeout_seconds=2)
        ports = build_ports(command.settings, redis, FakeRoundQueue(), client)
        ride = a_ride()
        ports.rides.create(ride)
        ports.unicorns.create(a_unicorn())
        set_aside_ride(ports, ports.dead_letters, ride, NOW)
        (letter,) = command.json("dead-letters", "list")["dead_letters"]
        assert (letter["dead_letter_id"], letter["cause"]) == ("ride-ride-1", CAUSE)
        assert "open" in command.run("dead-letters", "list").stdout
        command.json("dead-letters", "replay", "ride-ride-1")
        stored = ports.rides.get("ride-1")
        assert stored
        assert stored.status is RideStatus.REQUESTED
        assert "no such dead letter" in command.run("dead-letters", "replay", "x").stderr
        redis.link.client.flushall()
        assert command.json("reconcile") == {"unicorns": 1, "open_rides": 1, "mended": 0}
        lease = redis.waiting.take(ride.zone)
        assert lease
        assert [waiting.ride_id for waiting in lease.begin_round().rides] == ["ride-1"]


def test_a_retention_is_applied_to_rides_that_have_ended(
    command: Command, ministack: MiniStack
) -> None:
    with service_client(ministack) as client:
        rides = DynamoRides(client, command.settings.rides_table)
        ride = a_ride()
        rides.create(ride)
        rides.save(ride, ride.canceled(CanceledBy.RIDER, None, NOW))
        command.environment["RIDE_RETENTION_DAYS"] = "30"
        assert command.json("retention", "--since", f"{NOW:%Y-%m-%d}") == {"rides": 1, "days": 30}
        key = {"ride_id": {"S": "ride-1"}}
        stored = client.get_item(TableName=command.settings.rides_table, Key=key)["Item"]
        assert stored["expires_at"] == {"N": str(int((NOW + timedelta(days=30)).timestamp()))}


def test_a_rider_is_erased_after_all_rides_have_ended(
    command: Command, ministack: MiniStack
) -> None:
    with service_client(ministack) as client:
        rides = DynamoRides(client, command.settings.rides_table)
        ride = a_ride(rider_id="leaver")
        rides.create(ride)
        erase = ("erase", "--sub", "leaver")
        assert command.json(*erase, code=1) == {"erased": 0, "open_rides": ["ride-1"]}
        rides.save(ride, ride.unmatched(NOW))
        assert command.json(*erase) == {"erased": 1, "open_rides": []}
        forgotten = rides.get("ride-1")
        assert forgotten
        assert forgotten.rider_id != "leaver"
    assert command.json(*erase) == {"erased": 0, "open_rides": []}


def test_an_unavailable_store_is_reported_in_one_line_without_a_traceback(command: Command) -> None:
    command.environment["AWS_ENDPOINT_URL_DYNAMODB"] = "http://127.0.0.1:9"
    done = command.run("dead-letters", "list")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: DynamoDB: ")
    done = command.run("tables", "check")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)


def test_it_is_a_program_that_explains_itself_and_names_missing_settings() -> None:
    program = [sys.executable, "-m", "service"]
    helped = subprocess.run([*program, "--help"], cwd=PROJECT, capture_output=True, text=True)
    assert "python -m service" in helped.stdout
    bare = subprocess.run(
        [*program, "tables", "check"],
        cwd=PROJECT,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
    )
    assert bare.returncode == 1
    assert "AWS_REGION" in bare.stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("tables", "create"), "tables created"),
        (("revoke", "--jti", "some"), "revoked"),
        (("erase", "--sub", "nobody"), "rider erased"),
        (("retention", "--since", "2026-11-01"), "retention applied"),
        (("dispatch", "pause"), "dispatch paused"),
        (("dispatch", "resume", "--zone", ZONE), "dispatch resumed"),
    ],
)
def test_a_command_that_changes_something_leaves_an_audit_line(
    command: Command, arguments: tuple[str, ...], what: str
) -> None:
    done = command.run(*arguments)
    assert done.exit_code == 0, done.output
    (line,) = [json.loads(line) for line in done.stderr.splitlines() if '"service.audit"' in line]
    assert line["message"] == what
    assert "@" in line["operator"]
    assert "nobody" not in done.stderr, "the log must not keep who was to be forgotten"


def test_a_command_that_reads_leaves_none(command: Command) -> None:
    assert command.run("dispatch", "status").stderr == ""


def test_a_command_whose_store_is_away_says_that_the_outcome_is_unknown(command: Command) -> None:
    command.environment["AWS_ENDPOINT_URL_DYNAMODB"] = "http://127.0.0.1:9"
    done = command.run("dispatch", "pause")
    assert done.exit_code == 1
    assert '"outcome unknown"' in done.stderr
    assert '"changing": "dispatch"' in done.stderr
