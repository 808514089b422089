"""Settings, parsed once from the environment. A missing or bad one is named and stops the process.

`Settings` is what every process needs; `ApiSettings` adds what only the API may ask for, so that
a worker runs without a word about tokens.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Final, NoReturn, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CommaList = Annotated[tuple[str, ...], NoDecode]
RateLimit = Annotated[str, Field(pattern=r"^[1-9]\d{0,8}/(second|minute|hour)$")]


KEYS_PATH: Final = "/.well-known/jwks.json"


class Settings(BaseSettings):
    """Common settings; each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    aws_region: str
    rides_table: str = "Rides"
    unicorns_table: str = "Unicorns"
    operations_table: str = "Operations"
    redis_url: str
    celery_broker_url: str = ""
    log_level: str = "INFO"
    ride_retention_days: int = Field(0, ge=0)
    service_version: str = "development"
    host: str = "127.0.0.1"
    metrics_port: int = Field(0, ge=0, le=65533)
    liveness_file: str = ""
    monitor_enabled: bool = True
    otel_exporter_otlp_endpoint: str = ""

    rider_max_active_rides: int = Field(0, ge=0)
    dispatch_max_pickup_eta_seconds: int = Field(480, gt=0)
    dispatch_plan_seconds: int = Field(480, ge=0)
    dispatch_equal_metres: int = Field(100, ge=0)
    dispatch_deadline_seconds: int = Field(180, gt=0)
    offer_seconds: int = Field(15, gt=0)
    offers_missed_max: int = Field(3, ge=0)
    no_show_seconds: int = Field(600, gt=0)
    unicorn_stale_seconds: int = Field(60, gt=0)
    travel_times_url: str = ""
    travel_times_budget_ms: int = Field(200, gt=0, le=5000)
    travel_times_max_table: int = Field(100, ge=2)

    @field_validator("redis_url", "celery_broker_url")
    @classmethod
    def _is_redis(cls, url: str) -> str:
        if url and urlsplit(url).scheme not in {"redis", "rediss"}:
            raise ValueError("must begin with redis:// or rediss://")
        return url

    @field_validator("travel_times_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
            raise ValueError("must be an http or https URL without a query")
        return url

    @field_validator("log_level")
    @classmethod
    def _is_level(cls, level: str) -> str:
        if level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return level.upper()

    @property
    def table_names(self) -> tuple[str, str, str]:
        return self.rides_table, self.unicorns_table, self.operations_table

    @property
    def broker_url(self) -> str:
        return self.celery_broker_url or self.redis_url


class ApiSettings(Settings):
    """What the API needs on top: who may call it, and how it names itself."""

    public_url: str = Field(min_length=1)
    cors_origins: CommaList = ()
    trusted_proxy_hops: int = Field(0, ge=0)
    rate_limit_enabled: bool = True
    rate_limit_subject: RateLimit = "3000/minute"
    rate_limit_address: RateLimit = "60000/minute"
    rate_limit_failures: RateLimit = "600/minute"
    workshop_id_tokens: bool = False
    api_max_in_flight: int = Field(64, gt=0)
    api_max_waiters: int = Field(2000, gt=0)

    cognito_user_pool_id: str = Field(pattern=r"^[\w-]+_[0-9a-zA-Z]+$")
    cognito_client_ids: CommaList
    cognito_issuers: CommaList = ()
    cognito_jwks_url: str = ""
    cognito_domain_url: str = ""
    auth_jwks_file: str = ""
    auth_jwks_allow_http_hosts: CommaList = ()
    auth_leeway_seconds: int = Field(30, ge=0, le=300)
    auth_resource: str = ""
    auth_session_max_seconds: int = Field(30 * 86400, gt=0)
    admin_group: str = "admin"
    dispatcher_group: str = "dispatcher"
    unicorn_group: str = "unicorns"
    aws_endpoint_url_sts: str = ""
    iam_role_scopes: Annotated[dict[str, tuple[str, ...]], NoDecode] = {}

    @field_validator(
        "cors_origins",
        "cognito_client_ids",
        "cognito_issuers",
        "auth_jwks_allow_http_hosts",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("iam_role_scopes", mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        # Not by pydantic-settings, whose error would not be one of those that `load` names.
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("cognito_client_ids")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("must name at least one client id")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            exact = f"{parts.scheme}://{parts.netloc}"
            if parts.scheme not in {"http", "https"} or not parts.netloc or origin != exact:
                raise ValueError(f"{origin!r} is not an exact origin such as https://example.com")
        return origins

    @field_validator("public_url", "cognito_domain_url")
    @classmethod
    def _is_absolute(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.netloc):
            raise ValueError("must be an absolute http or https URL")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _issuers_name_the_pool(self) -> Self:
        for issuer in self.issuers:
            if not issuer.endswith(f"/{self.cognito_user_pool_id}"):
                raise ValueError(f"COGNITO_ISSUERS: {issuer!r} does not end in the user pool id")
        return self

    @property
    def issuers(self) -> tuple[str, ...]:
        """Accepted `iss` values; by default both forms AWS uses (API_IssuerConfigurationType)."""
        pool = self.cognito_user_pool_id
        return self.cognito_issuers or (
            f"https://cognito-idp.{self.aws_region}.amazonaws.com/{pool}",
            f"https://issuer-cognito-idp.{self.aws_region}.amazonaws.com/{pool}",
        )

    @property
    def authorization_servers(self) -> tuple[str, ...]:
        """Where a client finds the pool's description: beside the keys, where those are set."""
        place = self.cognito_jwks_url.removesuffix(KEYS_PATH)
        return (place,) if place != self.cognito_jwks_url else self.issuers

    @property
    def jwks_url(self) -> str:
        return self.cognito_jwks_url or f"{self.issuers[0]}{KEYS_PATH}"


AnySettings = TypeVar("AnySettings", bound=Settings)


def load(kind: type[AnySettings]) -> AnySettings:
    """Read the environment, or end the process naming every variable that is missing or bad."""
    try:
        return kind()
    except ValidationError as error:
        _refuse(error)


def _refuse(error: ValidationError) -> NoReturn:
    lines = [
        f"  {'_'.join(str(part) for part in fault['loc']).upper() or 'settings'}: {fault['msg']}"
        for fault in error.errors()
    ]
    sys.exit("cannot start, fix these environment variables:\n" + "\n".join(lines))
