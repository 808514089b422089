"""The client address for which a request counts."""

from __future__ import annotations

import pytest

from service.http.audit import UNKNOWN, client_address
from service.http.gate import CLIENT_ADDRESS, IS_BEHIND_PROXY
from tests.support.api import build_api


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "198.51.100.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        (2, "1.1.1.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "1.1.1.1,203.0.113.9,10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "198.51.100.1"),
        (1, "", "198.51.100.1"),
        (1, "203.0.113.9:4711", "203.0.113.9"),
        (1, "[2001:db8:1:2:3::4]:443", "2001:db8:1:2::/64"),
        (1, "'; DROP TABLE\n", UNKNOWN),
        (1, "9" * 10_000, UNKNOWN),
    ],
)
def test_only_the_entries_of_trusted_proxies_count(
    hops: int, forwarded: str, expected: str
) -> None:
    environ = {"REMOTE_ADDR": "198.51.100.1", "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(environ, hops) == expected


@pytest.mark.parametrize(("hops", "address"), [(0, "198.51.100.1"), (1, "203.0.113.9")])
def test_the_server_counts_connections_by_the_same_rule(hops: int, address: str) -> None:
    extensions = build_api(trusted_proxy_hops=hops).app.extensions
    environ = {"REMOTE_ADDR": "198.51.100.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    assert extensions[IS_BEHIND_PROXY] is (hops > 0)
    assert extensions[CLIENT_ADDRESS](environ) == address


def test_without_the_header_the_connections_address_counts() -> None:
    assert client_address({"REMOTE_ADDR": "198.51.100.1"}, 1) == "198.51.100.1"


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", UNKNOWN),
        # Nobody can make us remember longer texts than their last 64 characters.
        ("x" * 64 + "198.51.100.1".rjust(64), "198.51.100.1"),
    ],
)
def test_one_client_is_one_address_or_network(peer: str, expected: str) -> None:
    assert client_address({"REMOTE_ADDR": peer}, 0) == expected
