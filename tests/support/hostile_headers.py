"""Rows 1 to 17: what can be wrong before a token is looked at. (15 and 16 are the server's.)"""

from __future__ import annotations

from tests.support.hostile_case import Build, Case, accepted, invalid
from tests.support.token_mint import Mint


def missing(row: int, name: str, build: Build, has_query_token: bool = False) -> Case:
    return Case(row, name, build, 401, "missing_token", has_query_token=has_query_token)


def malformed(row: int, name: str, build: Build, has_query_token: bool = False) -> Case:
    return Case(row, name, build, 400, "malformed_header", has_query_token=has_query_token)


def good(mint: Mint) -> str:
    return mint.access_token()


CASES = [
    missing(1, "no header", lambda _: None),
    missing(2, "basic", lambda _: "Basic dXNlcjpwYXNz"),
    missing(3, "dpop", lambda mint: f"DPoP {good(mint)}"),
    missing(4, "empty", lambda _: ""),
    malformed(5, "bearer alone", lambda _: "Bearer"),
    malformed(5, "bearer and spaces", lambda _: "Bearer   "),
    malformed(6, "inner space", lambda mint: f"Bearer {good(mint)} {good(mint)}"),
    malformed(7, "two headers joined", lambda mint: f"Bearer {good(mint)},Bearer {good(mint)}"),
    malformed(7, "comma at the end", lambda mint: f"Bearer {good(mint)},"),
    malformed(7, "comma for a space", lambda mint: f"Bearer,{good(mint)}"),
    Case(8, "lower case", lambda mint: f"bearer {good(mint)}", 200, ""),
    Case(8, "upper case", lambda mint: f"BEARER {good(mint)}", 200, ""),
    accepted(8, "double space", lambda mint: f" {good(mint)}"),
    malformed(9, "tab", lambda mint: f"Bearer\t{good(mint)}"),
    malformed(9, "space and tab", lambda mint: f"Bearer \t{good(mint)}"),
    missing(10, "colon", lambda mint: f"Bearer: {good(mint)}"),
    missing(11, "query only", lambda _: None, has_query_token=True),
    malformed(12, "query and header", lambda mint: f"Bearer {good(mint)}", has_query_token=True),
    invalid(14, "latin-1 byte", lambda mint: f"{good(mint)}é"),
    invalid(14, "latin-1 byte inside", lambda mint: good(mint).replace(".", "\xa0.", 1)),
    invalid(17, "inner equals", lambda _: "a=b.c.d"),
]
