"""Where a request comes from, as far as that can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, Final

UNKNOWN: Final = "unknown"
_LONGEST: Final = 64


def client_address(environ: Mapping[str, Any], trusted_hops: int) -> str:
    """The client's IPv4 address or IPv6 /64 network, which is what one client has (RFC 6177).

    Each of `trusted_hops` proxies in front of us has put the address it saw at the end of
    `X-Forwarded-For`; whatever stands before may be invented. Without proxies, and when the header
    is shorter than that, it is the address the connection comes from.
    """
    peer = environ.get("REMOTE_ADDR", "")
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    if trusted_hops and forwarded:
        entries = forwarded.rsplit(",", trusted_hops)
        if len(entries) >= trusted_hops:
            peer = entries[-trusted_hops]
    return _normal(peer[-_LONGEST:])


@lru_cache(4096)
def _normal(text: str) -> str:
    text = text.strip(" \t")
    if text.startswith("["):
        # Some proxies add the port: [2001:db8::1]:443 or 192.0.2.1:443.
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return UNKNOWN
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
