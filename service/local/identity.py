"""The user pool of the development stack: scopes, groups, clients and demo users.

Everything is looked up by name first, so provisioning can be repeated at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.auth import policy

POOL = "wildrydes"
RESOURCE_SERVERS: Mapping[str, Mapping[str, str]] = {
    "wildrydes": {name.partition("/")[2]: text for name, text in policy.SCOPES.items()},
    # Of the workshop's second page. The emulator lacks that page's implicit grant; the code flow
    # with PKCE gives tokens with this scope.
    "UnicornManager": {"unicorn": "See the rides of one's own unicorn."},
}
GROUPS = ("riders", "admin", "dispatcher", "unicorns")
WEB_SCOPES = (
    "openid",
    *(
        f"{server}/{name}"
        for server, scopes in RESOURCE_SERVERS.items()
        for name in scopes
        if "telemetry" not in name
    ),
)
MACHINE_SCOPES = (policy.FLEET_TELEMETRY_SCOPE,)
TOKEN_HOURS = 12
MAIL_DOMAIN = "example.com"
ALIASES = ("email", "preferred_username")
"""Attributes that a user may type in place of the user name; fixed when a pool is created."""

HERD = tuple(f"herd-{number:02}" for number in range(1, 51))
DEMO_USERS: Mapping[str, str | None] = {
    "rider": "riders",
    "admin": "admin",
    "dispatcher": "dispatcher",
    "unicorn": "unicorns",
    **dict.fromkeys(HERD, "unicorns"),
}
"""User name and group."""

USER_SCOPES: Mapping[str, Sequence[str]] = {
    "rider": ("openid", "wildrydes/rides.read", "wildrydes/rides.write"),
    "admin": ("openid", "wildrydes/admin"),
    "dispatcher": ("openid", "wildrydes/admin"),
    "unicorn": ("openid", "wildrydes/fleet.drive"),
}
"""The scopes that the app of each kind of user requests at sign-in."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids of the pool, its clients and users. `subs`: user name to `sub`."""

    pool_id: str
    web_client_id: str
    machine_client_id: str
    machine_secret: str
    subs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pool:
    """Builds the pool through `cognito`, a boto3 `cognito-idp` client."""

    cognito: Any
    pool_id: str

    @classmethod
    def ensure(cls, cognito: Any) -> Pool:
        pages = cognito.get_paginator("list_user_pools").paginate(MaxResults=60)
        for page in pages:
            for pool in page["UserPools"]:
                if pool["Name"] == POOL:
                    return cls(cognito, pool["Id"])
        created = cognito.create_user_pool(PoolName=POOL, AliasAttributes=list(ALIASES))
        return cls(cognito, created["UserPool"]["Id"])

    def call(self, triggers: Mapping[str, Any]) -> None:
        """Let the pool call these functions (`LambdaConfig`)."""
        self.cognito.update_user_pool(UserPoolId=self.pool_id, LambdaConfig=dict(triggers))

    def furnish(self, password: str, redirects: Sequence[str]) -> Identity:
        """Create or update scopes, groups, clients and users."""
        for server, scopes in RESOURCE_SERVERS.items():
            self._ensure_scopes(server, scopes)
        self._ensure_groups()
        web = self._ensure_client("web", web_client(redirects))
        machine = self._ensure_client("machine", MACHINE_CLIENT)
        return Identity(
            self.pool_id,
            web["ClientId"],
            machine["ClientId"],
            machine["ClientSecret"],
            self._ensure_users(password),
        )

    def _ensure_scopes(self, server: str, scopes: Mapping[str, str]) -> None:
        try:
            self.cognito.describe_resource_server(UserPoolId=self.pool_id, Identifier=server)
        except self.cognito.exceptions.ResourceNotFoundException:
            self.cognito.create_resource_server(
                UserPoolId=self.pool_id,
                Identifier=server,
                Name=server,
                Scopes=[
                    {"ScopeName": name, "ScopeDescription": text} for name, text in scopes.items()
                ],
            )

    def _ensure_groups(self) -> None:
        groups = self.cognito.list_groups(UserPoolId=self.pool_id)["Groups"]
        for name in set(GROUPS) - {group["GroupName"] for group in groups}:
            self.cognito.create_group(UserPoolId=self.pool_id, GroupName=name)

    def _ensure_client(self, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Create the client, or bring it up to date: its redirects follow the stack's ports."""
        existing = self.cognito.list_user_pool_clients(UserPoolId=self.pool_id, MaxResults=60)
        for client in existing["UserPoolClients"]:
            if client["ClientName"] == name:
                changeable = {
                    key: value for key, value in wanted.items() if key != "GenerateSecret"
                }
                return self._client("update", ClientId=client["ClientId"], **changeable)
        return self._client("create", ClientName=name, **wanted)

    def _client(self, verb: str, **parameters: Any) -> dict[str, Any]:
        call = getattr(self.cognito, f"{verb}_user_pool_client")
        client: dict[str, Any] = call(UserPoolId=self.pool_id, **parameters)["UserPoolClient"]
        return client

    def _ensure_users(self, password: str) -> dict[str, str]:
        users = self._users()
        for name, group in DEMO_USERS.items():
            # A user is confirmed by the last step, so a creation cut short is taken up again.
            if name not in users or users[name]["UserStatus"] != "CONFIRMED":
                users[name] = self._create_user(name, group, password, exists=name in users)
        return {name: _sub(users[name]) for name in DEMO_USERS}

    def _users(self) -> dict[str, dict[str, Any]]:
        pages = self.cognito.get_paginator("list_users").paginate(UserPoolId=self.pool_id)
        return {user["Username"]: user for page in pages for user in page["Users"]}

    def _create_user(
        self, name: str, group: str | None, password: str, *, exists: bool
    ) -> dict[str, Any]:
        user = {"UserPoolId": self.pool_id, "Username": name}
        if not exists:
            attributes = attributes_of(name)
            self.cognito.admin_create_user(
                **user, MessageAction="SUPPRESS", UserAttributes=attributes
            )
        if group:
            self.cognito.admin_add_user_to_group(**user, GroupName=group)
        self.cognito.admin_set_user_password(**user, Password=password, Permanent=True)
        created: dict[str, Any] = self.cognito.admin_get_user(**user)
        return created


def _sub(user: Mapping[str, Any]) -> str:
    """The user's `sub`, from `list_users` (`Attributes`) or `admin_get_user` (`UserAttributes`)."""
    attributes = user.get("Attributes") or user["UserAttributes"]
    return str(next(item["Value"] for item in attributes if item["Name"] == "sub"))


def attributes_of(name: str) -> list[dict[str, str]]:
    """A user's e-mail address, and the name that the workshop's page makes of an address."""
    attributes = {
        "email": f"{name}@{MAIL_DOMAIN}",
        "email_verified": "true",  # only a verified address is an alias
        "preferred_username": f"{name}-at-{MAIL_DOMAIN}",
    }
    return [{"Name": key, "Value": value} for key, value in attributes.items()]


def web_client(redirects: Sequence[str]) -> Mapping[str, Any]:
    """The apps' public client: authorization code with PKCE, no secret."""
    return {
        "GenerateSecret": False,
        # Listing flows turns the others off; SRP is what the workshop's pages use.
        "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        "AllowedOAuthFlowsUserPoolClient": True,
        "AllowedOAuthFlows": ["code"],
        "AllowedOAuthScopes": list(WEB_SCOPES),
        "SupportedIdentityProviders": ["COGNITO"],
        "CallbackURLs": list(redirects),
        "LogoutURLs": list(redirects),
        "AccessTokenValidity": TOKEN_HOURS,
        "TokenValidityUnits": {"AccessToken": "hours"},
    }


MACHINE_CLIENT: Mapping[str, Any] = {
    "GenerateSecret": True,
    "ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"],
    "AllowedOAuthFlowsUserPoolClient": True,
    "AllowedOAuthFlows": ["client_credentials"],
    "AllowedOAuthScopes": list(MACHINE_SCOPES),
    "AccessTokenValidity": TOKEN_HOURS,
    "TokenValidityUnits": {"AccessToken": "hours"},
}
