"""Writes the routes of docker/ecs/gateway.yaml from the declarations of the application's routes.

`python -m service.local.gateway FILE` replaces the lines between the template's `begin` and `end`
comments. A test compares the file with the declarations.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from service.api.app import route_map
from service.auth.policy import SCOPES
from service.http.route import Route, Text

_PARAMETER: Final = re.compile(r"<(?:[^<>]+:)?(\w+)>")
POLICIES: Final[Mapping[str, str]] = {
    scope: "".join(word.capitalize() for word in re.split(r"\W", scope)[1:]) + "Policy"
    for scope in SCOPES
}
"""The logical name of each scope's IAM policy in the template."""


def routes() -> Sequence[Route]:
    """The gateway's routes: all except streams, which an HTTP API cannot pass on."""
    declared = route_map().declared.values()
    return sorted(
        (route for route in declared if not _is_stream(route)),
        key=lambda route: (route.rule, route.method),
    )


def key_of(route: Route) -> str:
    """The route as API Gateway writes it: `GET /v1/rides/{ride_id}`."""
    path = _PARAMETER.sub(r"{\1}", route.rule)
    return f"{route.method} {path}"


def scopes_of(route: Route) -> Sequence[str]:
    """The route's scopes; a caller needs one of them.

    Raises `ValueError` if a route needs several scopes at once, because no authorizer of API
    Gateway can check that.
    """
    if any(len(each) > 1 for each in route.policy.alternatives):
        raise ValueError(f"{route.rule} needs several scopes at once")
    return [scope for each in route.policy.alternatives for scope in each]


def name_of(route: Route) -> str:
    """The name of the route's resource, such as `GetV1RidesRideId`."""
    words = re.findall(r"[A-Za-z0-9]+", key_of(route))
    return "".join(word.capitalize() for word in words) + ("" if route.rule != "/" else "Root")


def rewritten(template: str) -> str:
    """The template, with its generated parts made from the routes of the code."""
    found = routes()
    parts = {
        "routes": ["  Routes:", *map(_mapping, found)],
        "guarded": [f"    - {_names(route for route in found if not route.policy.is_public)}"],
        "open": [f"    - {_names(route for route in found if route.policy.is_public)}"],
        "policies": [line for scope in SCOPES for line in _policy(scope, found)],
    }
    for name, lines in parts.items():
        before, begin, rest = template.partition(f"# begin {name} (make gateway)\n")
        _, end, after = re.split(rf"^( *# end {name}\n)", rest, maxsplit=1, flags=re.MULTILINE)
        template = "".join((before, begin, *(f"{line}\n" for line in lines), end, after))
    return template


def _is_stream(route: Route) -> bool:
    return any(isinstance(answer, Text) and answer.events for answer in route.answers.values())


def _mapping(route: Route) -> str:
    scopes = f", Scopes: [{', '.join(scopes_of(route))}]" if not route.policy.is_public else ""
    return f'    {name_of(route)}: {{Key: "{key_of(route)}"{scopes}}}'


def _names(some: Iterable[Route]) -> str:
    return f"[{', '.join(map(name_of, some))}]"


def _policy(scope: str, found: Sequence[Route]) -> list[str]:
    """The lines of a managed policy that allows calls of the routes that accept the scope."""
    opened = [route for route in found if scope in scopes_of(route)]
    # IAM has no wildcard for one segment: `*` matches any text, including slashes.
    paths = [re.sub(r"\{\w+\}", "*", key_of(route).replace(" ", "")) for route in opened]
    api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/$default"
    return [
        f"  {POLICIES[scope]}:",
        "    Type: AWS::IAM::ManagedPolicy",
        "    Condition: IsIam",
        "    Properties:",
        f"      Description: Call the routes of {scope}",
        *_attached(scope),
        "      PolicyDocument:",
        '        Version: "2012-10-17"',
        "        Statement:",
        "          - Effect: Allow",
        "            Action: execute-api:Invoke",
        "            Resource:",
        *(f'              - !Sub "{api}/{path}"' for path in paths),
    ]


def _attached(scope: str) -> list[str]:
    is_riders = scope.partition("/")[2].startswith("rides.")
    return ["      Roles: !If [HasRiderRole, [!Ref RiderRole], []]"] if is_riders else []


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(rewritten(file.read_text()))
