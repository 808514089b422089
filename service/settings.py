"""Reads the settings from the environment, for every process of the service.

White space around a value is dropped, an empty value counts as absent, and any other value is used
exactly as it was checked. If a setting is missing or bad, the process stops and names it.

`Settings` is for every process; `ApiSettings` adds those that only the API needs, so that a worker
needs no settings about tokens. `MonitorSettings` adds those of the monitor.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Final, NoReturn, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from service import addresses
from service import setting_types as types
from service.auth.claims import LONGEST_SESSION_SECONDS
from service.auth.roles import RoleGrants

KEYS_PATH: Final = "/.well-known/jwks.json"

_HARMFUL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_REGION_NAME: Final = r"^[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}$"


class Settings(BaseModel):
    """Settings of every process; each field is the environment variable of its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    aws_region: types.Region
    rides_table: types.Table = "Rides"
    unicorns_table: types.Table = "Unicorns"
    operations_table: types.Table = "Operations"
    photos_bucket: types.Bucket = ""
    aws_endpoint_url_dynamodb: types.WebUrl = ""
    redis_url: types.RedisUrl = Field(min_length=1)
    celery_broker_url: types.RedisUrl = ""
    log_level: str = "INFO"
    ride_retention_days: int = Field(0, ge=0, le=36_500)
    service_version: types.Word = "development"
    service_revision: types.Word = ""
    host: types.Host = "127.0.0.1"
    metrics_port: int = Field(0, ge=0, le=65533)
    metrics_namespace: types.Namespace = ""
    liveness_file: str = ""
    monitor_enabled: bool = True
    otel_exporter_otlp_endpoint: types.WebUrl = ""

    rider_max_active_rides: int = Field(3, ge=0)
    # These two bound the sets that one search of the fleet reads, in one call to Redis. A request
    # waits 0.25 s for such a call.
    dispatch_max_pickup_eta_seconds: int = Field(480, gt=0, le=7200)
    unicorn_stale_seconds: int = Field(60, gt=0, le=3600)
    dispatch_plan_seconds: types.Seconds = Field(480, ge=0)
    dispatch_equal_metres: int = Field(100, ge=0)
    dispatch_deadline_seconds: types.Seconds = Field(180, gt=0)
    offer_seconds: types.Seconds = Field(15, gt=0)
    offers_missed_max: int = Field(3, ge=0)
    no_show_seconds: types.Seconds = Field(600, gt=0)
    arrive_max_metres: int = Field(500, ge=0)
    reposition_seconds: int = Field(30, ge=0, le=300)
    travel_times_url: types.WebUrl = ""
    travel_times_budget_ms: int = Field(200, gt=0, le=5000)
    travel_times_max_table: int = Field(100, ge=2)

    @field_validator("*", mode="before")
    @classmethod
    def _is_bare(cls, value: object) -> object:
        """Refuse control characters, and quotes at either end.

        The env files of containers keep the quotes that a shell would remove.
        """
        if isinstance(value, str):
            if value[:1] in {'"', "'"} or value[-1:] in {'"', "'"}:
                raise ValueError("is in quotes: leave them out")
            if _HARMFUL.search(value):
                raise ValueError("holds a control character")
        return value

    @field_validator("log_level")
    @classmethod
    def _is_level(cls, level: str) -> str:
        if level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return level.upper()

    @model_validator(mode="after")
    def _figures_are_counted(self) -> Self:
        if self.metrics_namespace and not self.metrics_port:
            raise ValueError("METRICS_NAMESPACE: needs METRICS_PORT")
        return self

    @property
    def table_names(self) -> tuple[str, str, str]:
        return self.rides_table, self.unicorns_table, self.operations_table

    @property
    def broker_url(self) -> str:
        return self.celery_broker_url or self.redis_url


class ApiSettings(Settings):
    """Settings of the API only: who may call it, and its own address."""

    port: int = Field(8080, ge=1, le=65535)
    public_url: Annotated[str, AfterValidator(addresses.public_url)]
    cors_origins: types.Origins = ()
    trusted_proxy_hops: int = Field(0, ge=0)
    rate_limit_enabled: bool = True
    rate_limit_subject: types.RateLimit = "3000/minute"
    rate_limit_address: types.RateLimit = "60000/minute"
    rate_limit_failures: types.RateLimit = "600/minute"
    workshop_id_tokens: bool = False
    page_client_ids: Annotated[tuple[types.ClientId, ...], types.Parts] = ()
    map_tiles_url: types.TilesUrl = ""
    map_attribution: str = ""
    map_center: Annotated[tuple[types.Latitude, types.Longitude], types.Parts] = (40.72, -74.0)
    api_max_in_flight: int = Field(64, gt=0)
    api_max_waiters: int = Field(2000, gt=0)

    cognito_user_pool_id: str = Field(pattern=r"^[A-Za-z0-9_-]+_[0-9A-Za-z]+$", max_length=55)
    cognito_client_ids: Annotated[tuple[types.ClientId, ...], Field(min_length=1), types.Parts]
    identity_pool_id: types.IdentityPoolId = ""
    cognito_issuers: Annotated[tuple[types.WebUrl, ...], types.Parts] = ()
    cognito_jwks_url: types.WebUrl = ""
    cognito_domain_url: types.PublicUrl = ""
    auth_jwks_file: types.KeyFile = ""
    auth_jwks_allow_http_hosts: types.PlainHosts = ()
    auth_leeway_seconds: types.Leeway = 30
    auth_resource: types.Word = ""
    auth_session_max_seconds: types.Session = LONGEST_SESSION_SECONDS
    admin_group: types.Group = "admin"
    dispatcher_group: types.Group = "dispatcher"
    unicorn_group: types.Group = "unicorns"
    aws_endpoint_url_sts: types.ProtectedUrl = ""
    iam_role_scopes: types.Scopes = {}
    gateway_proofs: types.Proofs = {}
    identity_role_scopes: types.Scopes = {}
    identity_role_groups: types.Groups = {}

    @model_validator(mode="after")
    def _issuers_name_the_pool(self) -> Self:
        for issuer in self.issuers:
            if not issuer.endswith(f"/{self.cognito_user_pool_id}"):
                raise ValueError(f"COGNITO_ISSUERS: {issuer!r} does not end in the user pool id")
        return self

    @model_validator(mode="after")
    def _users_roles_are_no_programs(self) -> Self:
        """Refuse a role of both users and programs.

        STS names only the role. So a user who calls with it, but not through the gateway, would
        count as the program.
        """
        try:
            users = RoleGrants(self.identity_role_scopes, self.identity_role_groups)
        except ValueError as error:
            raise ValueError(f"IDENTITY_ROLE_GROUPS: {error}") from None
        if users.overlaps(RoleGrants(self.iam_role_scopes)):
            raise ValueError("IDENTITY_ROLE_SCOPES: a role is also in IAM_ROLE_SCOPES")
        return self

    @model_validator(mode="after")
    def _each_page_has_a_client(self) -> Self:
        if self.page_client_ids and (
            len(self.page_client_ids) != 3
            or not set(self.page_client_ids) <= set(self.cognito_client_ids)
        ):
            raise ValueError(
                "PAGE_CLIENT_IDS: must be three of COGNITO_CLIENT_IDS, those of the rider's, the "
                "driver's and the staff's page"
            )
        return self

    @model_validator(mode="after")
    def _pool_names_a_region(self) -> Self:
        if not self.cognito_issuers and _region_of(self.cognito_user_pool_id) is None:
            raise ValueError(
                f"COGNITO_USER_POOL_ID: {self.cognito_user_pool_id!r} names no region as in "
                "us-east-1_Example: set COGNITO_ISSUERS too"
            )
        return self

    @model_validator(mode="after")
    def _keys_are_protected(self) -> Self:
        """Refuse a key address with plain HTTP, unless a setting allows its host."""
        try:
            addresses.protected_url(self.jwks_url, self.auth_jwks_allow_http_hosts)
        except ValueError as error:
            name = "COGNITO_JWKS_URL" if self.cognito_jwks_url else "COGNITO_ISSUERS"
            raise ValueError(f"{name}: {error}") from None
        return self

    @property
    def issuers(self) -> tuple[str, ...]:
        """Accepted `iss` values; by default both forms AWS uses (API_IssuerConfigurationType)."""
        pool = self.cognito_user_pool_id
        region = _region_of(pool)
        return self.cognito_issuers or (
            f"https://cognito-idp.{region}.amazonaws.com/{pool}",
            f"https://issuer-cognito-idp.{region}.amazonaws.com/{pool}",
        )

    @property
    def authorization_servers(self) -> tuple[str, ...]:
        """The issuers' addresses for clients; derived from `COGNITO_JWKS_URL` if that fits."""
        place = self.cognito_jwks_url.removesuffix(KEYS_PATH)
        return (place,) if place != self.cognito_jwks_url else self.issuers

    @property
    def jwks_url(self) -> str:
        return self.cognito_jwks_url or f"{self.issuers[0]}{KEYS_PATH}"


class MonitorSettings(Settings):
    """Settings of the monitor only: where Flower listens and who may look at it."""

    flower_address: types.Host = "127.0.0.1"
    flower_port: int = Field(5555, ge=1, le=65535)
    flower_basic_auth: Annotated[tuple[types.Login, ...], Field(min_length=1), types.Parts]
    flower_url_prefix: types.Prefix = ""


AnySettings = TypeVar("AnySettings", bound=BaseModel)


def _region_of(pool_id: str) -> str | None:
    """The region in a user pool's id: eu-west-1 for `eu-west-1_Abc123`."""
    region = pool_id.rpartition("_")[0]
    return region if re.fullmatch(_REGION_NAME, region) else None


def load(kind: type[AnySettings]) -> AnySettings:
    """Read the settings, or end the process and name every variable that is missing or bad."""
    try:
        return read(kind, os.environ)
    except ValidationError as error:
        _refuse(error)


def read(kind: type[AnySettings], environment: Mapping[str, str]) -> AnySettings:
    """The settings of this kind from `environment`. Raises `ValidationError`."""
    stripped = {name: environment.get(name.upper(), "").strip() for name in kind.model_fields}
    return kind.model_validate({name: value for name, value in stripped.items() if value})


def forget(prefix: str) -> None:
    """Remove the variables with this prefix, so that no library reads them without these checks."""
    for name in [name for name in os.environ if name.startswith(prefix)]:
        del os.environ[name]


def faults_of(error: ValidationError) -> list[str]:
    """A line for each setting that is missing or bad.

    The lines leave out the values that pydantic would show, because some are secret. A check of our
    own may name a value that is not.
    """
    faults = [(str(next(iter(fault["loc"]), "")).upper(), fault["msg"]) for fault in error.errors()]
    lines = [f"{name}: {text}" if name else text for name, text in faults]
    return [line.replace("Value error, ", "", 1) for line in lines]


def _refuse(error: ValidationError) -> NoReturn:
    lines = "\n".join(f"  {line}" for line in faults_of(error))
    sys.exit(f"cannot start, fix these environment variables:\n{lines}")
