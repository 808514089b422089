"""Checks addresses in settings.

Each check returns the address as the service uses it, or raises `ValueError`. The service compares
origins and plain hosts as texts, so each of them has only one accepted spelling.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

import idna

_URL: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
"""The characters of a URL (RFC 3986, 2)."""

_LABEL: Final = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_PATH: Final = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]+)*/?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def listening_host(host: str) -> str:
    """A host name or IP address to serve on; an IPv6 address without brackets."""
    if not _is_host(host):
        raise ValueError(f"{host!r} is not a host name or IP address such as 127.0.0.1 or ::1")
    return host


def socket_address(host: str, port: int) -> str:
    """Host and port as one text: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def web_url(url: str) -> str:
    """An absolute http or https URL without user, query and fragment."""
    parts = _split(url)
    if parts.scheme not in _DEFAULT_PORTS or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be an http or https URL without user, query and fragment")
    return url


def protected_url(url: str, plain_hosts: Collection[str] = ()) -> str:
    """An HTTPS URL; plain HTTP only for this machine or one of `plain_hosts`."""
    host = _split(web_url(url)).hostname or ""
    if not url.startswith("https:") and host not in plain_hosts and not _is_loopback(host):
        raise ValueError("must be https unless on this machine or an allowed host")
    return url


def public_url(url: str) -> str:
    """A URL to which paths are appended. Its path must be canonical, because clients compare it."""
    if not _PATH.fullmatch(_split(web_url(url)).path):
        raise ValueError(
            "its path may hold only letters, digits, '.', '_', '~', '-' and '/',"
            " and no segment that is empty, '.' or '..'"
        )
    return url.rstrip("/")


def tiles_url(template: str) -> str:
    """A web URL in which `{z}`, `{x}` and `{y}` stand for the tile of a map."""
    places = ("{z}", "{x}", "{y}")
    if any(template.count(place) != 1 for place in places):
        raise ValueError("must hold {z}, {x} and {y}, each once")
    url = template
    for place in places:
        url = url.replace(place, "0")
    _split(url)
    # No placeholder may be in the host, because the pages' policy names the origin.
    origin_of(template)
    return template


def origin_of(url: str) -> str:
    """The origin of a web URL as browsers write it. Raises `ValueError` if it has none."""
    found = _origin_of(url)
    if found is None:
        raise ValueError("must be an http or https URL")
    return found


def redis_url(url: str) -> str:
    """`redis://` or `rediss://`, with an optional database number.

    Options in a query would win over the service's own, for example over its time limits.
    """
    parts = _split(url)
    if parts.scheme not in {"redis", "rediss"}:
        raise ValueError("must begin with redis:// or rediss://")
    if not re.fullmatch(r"/?|/[0-9]{1,4}", parts.path) or parts.query or parts.fragment:
        raise ValueError("may have only the number of a database after the host, such as /0")
    return url


def plain_host(host: str) -> str:
    """A host as in a URL, but without brackets and port; in lower case."""
    if not _is_host(host) or host != _normal_host(host):
        raise ValueError(f"{host!r} must be a host in lower case, without scheme and port")
    return host


def origin(text: str) -> str:
    """An origin exactly as browsers send it (RFC 6454, 6.2); another spelling would never match."""
    wanted = _origin_of(text)
    if wanted is None:
        raise ValueError(f"{text!r} is not an exact origin such as https://example.com")
    if wanted != text:
        raise ValueError(f"{text!r} is not how browsers send it, write {wanted}")
    return text


def _origin_of(text: str) -> str | None:
    """The origin that a browser sends for a page at this address; None if it has no origin."""
    try:
        parts = urlsplit(text)
        scheme, port = parts.scheme.lower(), parts.port
        host = _normal_host(parts.hostname or "")
    except ValueError:
        return None
    if scheme not in _DEFAULT_PORTS or not _is_host(host):
        return None
    shown = f"[{host}]" if ":" in host else host
    is_default = port is None or port == _DEFAULT_PORTS[scheme]
    return f"{scheme}://{shown}" if is_default else f"{scheme}://{shown}:{port}"


def _split(url: str) -> SplitResult:
    if not _URL.fullmatch(url):
        raise ValueError("must be a URL of the characters in RFC 3986: no space, for example")
    parts = urlsplit(url)
    if not parts.hostname or not _is_host(parts.hostname):
        raise ValueError("must be an absolute URL with a host")
    # Reading `port` raises `ValueError` if the port is not valid.
    if parts.port is None and parts.netloc.endswith(":"):
        raise ValueError("must name a port after the colon")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_host(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        # A text whose last part is a number is meant as an IPv4 address, but is not a valid one.
        last = host.rstrip(".").rpartition(".")[2]
        return bool(_HOST_NAME.fullmatch(host)) and not _NUMBER.fullmatch(last)


def _normal_host(host: str) -> str:
    """A name in lower case and punycode, or an address in its short form. Raises `ValueError`."""
    try:
        address = ip_address(host)
    except ValueError:
        # As browsers do it (UTS 46); Python's own codec follows an older standard.
        return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
    return str(address)
