"""botocore's descriptions of DynamoDB, without those of everything else.

To make a client, botocore reads the addresses of all services in all regions, 7 MB in memory, and
then takes the address from rules of a few kilobytes. `botocore.loaders` is where it lets others
supply what it reads.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from botocore.loaders import Loader

_SERVICE: Final = "dynamodb"
_USUAL: Final = "{service}.{region}.{dnsSuffix}"


class Descriptions(Loader):
    """What botocore reads to make a client of a service that is at the usual address."""

    def load_data_with_path(self, name: str) -> Any:
        if name != "endpoints":
            return super().load_data_with_path(name)
        described, path = super().load_data_with_path("partitions")
        return {"partitions": [_partition(each) for each in described["partitions"]]}, path


@cache
def descriptions() -> Descriptions:
    """The process's descriptions, read from disk. Forked processes share their memory."""
    found = Descriptions()
    for kind in ("service-2", "endpoint-rule-set-1", "paginators-1"):
        found.load_service_model(_SERVICE, kind)
    return found


def _partition(described: dict[str, Any]) -> dict[str, Any]:
    """A partition in the form of `endpoints`: `partitions` describes the same in another form."""
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
