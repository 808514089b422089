"""Replaces botocore's list of all service addresses by a small one, to save memory.

To make a client, botocore reads the addresses of all services in all regions (7 MB in memory). It
then takes the address of DynamoDB from rules of a few kilobytes and does not need the list. A
loader (`botocore.loaders`) may supply other data instead.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from botocore.loaders import Loader

_SERVICE: Final = "dynamodb"
_USUAL: Final = "{service}.{region}.{dnsSuffix}"


class Descriptions(Loader):
    """A loader for clients of services at the usual address (`_USUAL`)."""

    def load_data_with_path(self, name: str) -> Any:
        if name != "endpoints":
            return super().load_data_with_path(name)
        described, path = super().load_data_with_path("partitions")
        return {"partitions": [_partition(each) for each in described["partitions"]]}, path


@cache
def descriptions() -> Descriptions:
    """The loader of this process, with its data already read. Forked processes share its memory."""
    found = Descriptions()
    for kind in ("service-2", "endpoint-rule-set-1", "paginators-1"):
        found.load_service_model(_SERVICE, kind)
    return found


def _partition(described: dict[str, Any]) -> dict[str, Any]:
    """Convert a partition from the form of `partitions` into the form of `endpoints`."""
    outputs = described["outputs"]
    plain, dual = outputs["dnsSuffix"], outputs["dualStackDnsSuffix"]
    fips = "{service}-fips.{region}.{dnsSuffix}"
    variants = [
        {"hostname": _USUAL, "dnsSuffix": dual, "tags": ["dualstack"]},
        {"hostname": fips, "dnsSuffix": plain, "tags": ["fips"]},
        {"hostname": fips, "dnsSuffix": dual, "tags": ["dualstack", "fips"]},
    ]
    return {
        "partition": described["id"],
        "dnsSuffix": plain,
        "regionRegex": described["regionRegex"],
        "regions": described["regions"],
        "services": {},
        "defaults": {
            "hostname": _USUAL,
            "protocols": ["https"],
            "signatureVersions": ["v4"],
            "variants": variants,
        },
    }
