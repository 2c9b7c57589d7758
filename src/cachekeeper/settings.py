"""Every setting, its default and its bounds, on one page.

A setting ``x`` comes from, first wins: a keyword argument, the environment variable
``CACHEKEEPER_X``, for URLs the file that ``CACHEKEEPER_X_FILE`` names (they may hold passwords),
the TOML file that ``CACHEKEEPER_CONFIG`` names, the default below.
Names that no setting has are refused with the nearest that exists: a misspelt limit that
is silently ignored is a limit that does not hold.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from cachekeeper.errors import ConfigurationError
from cachekeeper.origin_settings import OriginName, OriginSettings

PREFIX = "CACHEKEEPER_"
CONFIG = f"{PREFIX}CONFIG"
TRACES = f"{PREFIX}TRACES"  # where benchmarks find recorded accesses: no setting of a deployment
FILE = "_FILE"
SECRETS = ("broker_url", "cache_url")  # they may hold passwords
CACHE_SCHEMES = ("redis://", "rediss://", "unix://")
DEPLOYMENT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
TTL_CLASS_PATTERN = r"^[a-z][a-z0-9_-]{0,63}$"
#: No class may let a value live longer: marks are kept for a day more than this, whatever the
#: settings of the process say that trims them.
LONGEST_CLASS_S = 30 * 86400.0


def default_state() -> Path:
    """``$XDG_STATE_HOME/cachekeeper``, else ``~/.local/state/cachekeeper``."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "cachekeeper"


def _size(text: str) -> ByteSize:
    return ByteSize._validate(text, None)  # type: ignore[arg-type]  # pydantic offers no public parser


DeviceId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
DevicePolicy = Literal["gdga", "retention", "lru"]


class DeviceSettings(BaseModel):
    """What one device has of its own; the rest is as for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quota: ByteSize | None = Field(None, ge=1)
    headroom: ByteSize | None = Field(None, ge=0)
    policy: DevicePolicy | None = None


class TtlClass(BaseModel):
    """How long values of a kind live; each access multiplies what was so far (SPEC 5)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    base_s: float = Field(gt=0, description="without an access; within ttl_min_s and ttl_max_s")
    multiplier: float = Field(ge=1)
    max_s: float = Field(gt=0, le=LONGEST_CLASS_S, description="with any number of accesses")

    @model_validator(mode="after")
    def _together(self) -> TtlClass:
        if self.max_s < self.base_s:
            raise ValueError(f"max_s {self.max_s:g} must be at least base_s {self.base_s:g}")
        return self


TTL_CLASSES = {
    "media": TtlClass(base_s=86400, multiplier=1.5, max_s=604800),
    "metadata": TtlClass(base_s=300, multiplier=2.0, max_s=3600),
    "config": TtlClass(base_s=1800, multiplier=1.2, max_s=7200),
}


class Settings(BaseSettings):
    """The settings of one deployment; durations in seconds, sizes in bytes ("64MiB" works too)."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False
    )

    # Where things are.
    state: Path = Field(default_factory=default_state, description="folder of data, blobs and logs")
    broker_url: str | None = Field(None, description="broker server; none: the embedded one")
    cache_url: str | None = Field(None, description="cache server; none: the embedded one")
    deployment: str = Field("cachekeeper", pattern=DEPLOYMENT_PATTERN)
    origin: Path | None = Field(None, description="folder that the `file` namespace reads")
    origins: dict[OriginName, OriginSettings] = Field(
        default_factory=dict, description="in place of it several, by the first part of a path"
    )
    watch: bool = Field(True, description="`up` follows the origin, and invalidates what changes")
    server_port: int = Field(6399, ge=1, le=65535)
    flower_port: int = Field(5555, ge=1, le=65535)

    # Invalidation (SPEC 3).
    scheduled_flush_s: float = Field(300, gt=0)
    scheduled_batch: int = Field(100, ge=1, le=1000)
    background_flush_s: float = Field(60, gt=0)
    background_batch: int = Field(1000, ge=1, le=1000)
    pending_cap: int = Field(100_000, ge=1, description="requests that wait, by strategy")
    pending_full: Literal["widen", "refuse"] = Field(
        "widen", description="then keys become their whole namespaces, or a request is refused"
    )
    batch_deadline_s: float = Field(60, gt=0, description="a claimed batch is requeued after this")
    visibility_timeout_s: float = Field(
        900, gt=300, description="a message is given out again after this; a task may run 300 s"
    )
    worker_silent_s: float = Field(
        30, ge=4, description="what a worker holds is given out again after so long without a sign"
    )
    record_s: float = Field(3600, gt=0, description="how long receipts are kept")

    # The dependency graph (SPEC 4).
    depth_limit: int = Field(5, ge=1, description="edges that the eager purge follows at once")
    purge_budget: int = Field(1000, ge=1, description="keys that it removes at once")
    purge_beyond: Literal["continue", "stop"] = Field(
        "continue", description="what is past either limit: purged in the background, or left"
    )
    circular_resolution: Literal["break", "maintain"] = Field(
        "break", description="maintain: receipts name the cycles that were met"
    )

    # Nodes.
    lease_s: float = Field(1, gt=0, description="memory serves this long without the server")
    ack_timeout_s: float = Field(0.5, gt=0, description="silent nodes are fenced after this")
    lease_drift_s: float = Field(0.1, ge=0, description="clocks may differ by this over a lease")

    # Lifetimes (SPEC 5) and tiers.
    ttl_default_s: int = Field(3600, ge=1)
    ttl_min_s: int = Field(60, ge=1)
    ttl_max_s: int = Field(86400, ge=1, description="at the fill; a class may extend it")
    ttl_classes: dict[str, TtlClass] = Field(
        default_factory=TTL_CLASSES.copy,
        description="by name; those given are added, or change what they name of those that ship",
    )
    ttl_jitter: float = Field(
        0.1, ge=0, le=0.1, description="lives are shorter by up to this share"
    )
    early_refresh_beta: float = Field(
        0, ge=0, le=100, description="0: no value is made anew before it expires; 1: as a rule"
    )
    expiry_cascades: Literal["leave", "invalidate"] = Field(
        "leave", description="what becomes of what was derived from a value that has expired"
    )
    memory_bytes: ByteSize = Field(
        _size("64MiB"), ge=0, description="values in memory, with all that is kept about them"
    )
    redis_value_bytes: ByteSize = Field(
        _size("256KiB"), ge=0, description="larger values go to the disk tier only"
    )

    # Devices (SPEC 6) and prefetch (SPEC 7).
    device_quota: ByteSize = Field(_size("1GiB"), ge=1)
    device_headroom: ByteSize | None = Field(None, ge=0, description="none: min(100 MiB, 10 %)")
    device_host: str = Field("127.0.0.1", description="where devices reach their endpoint")
    device_port: int = Field(8440, ge=0, le=65535, description="0: no endpoint for devices")
    device_policy: DevicePolicy = Field("gdga", description="which file goes first")
    devices: dict[DeviceId, DeviceSettings] = Field(
        default_factory=dict, description="by device id: quota, headroom, policy of its own"
    )
    disk_min_free: ByteSize = Field(
        _size("1GiB"), ge=0, description="left free on the file system of the state folder"
    )
    prefetch_horizon_s: float = Field(
        1800, gt=0, le=30 * 86400, description="what is read within it was read soon"
    )
    model_items: int = Field(
        100_000, ge=100, le=10_000_000, description="files that the predictor knows at a time"
    )
    model_forget_s: float = Field(
        30 * 86400, ge=86400, description="files not read for so long are forgotten"
    )
    prefetch: bool = Field(True, description="off: nothing is predicted, nor learnt for it")
    prefetch_threshold: float = Field(
        0.7, gt=0, le=1, description="fetched is what is read with at least this probability"
    )
    prefetch_at_once: int = Field(4, ge=1, le=16, description="files planned after one access")
    prefetch_per_device: int = Field(2, ge=1, description="fetched at once for one device")
    prefetch_per_origin: int = Field(4, ge=1, description="fetched at once from one origin")

    # Beat (SPEC 8).
    graph_refresh_s: float = Field(300, gt=0)
    expiry_sweep_s: float = Field(60, gt=0)
    lazy_sweep_s: float = Field(60, gt=0)
    reconcile_s: float = Field(
        900, gt=0, description="a sweep through the origin finds the changes that nobody told"
    )
    eviction_sweep_s: float = Field(60, gt=0)
    model_decay_s: float = Field(86400, gt=0)
    due_sweep_s: float = Field(1, gt=0, le=2, description="a retry is sent this late at most")
    batch_recovery_s: float = Field(30, gt=0)
    prepared_sweep_s: float = Field(5, gt=0, description="units of work left to their deadline")
    pending_cleanup_s: float = Field(300, gt=0)
    record_trim_s: float = Field(300, gt=0)
    heartbeat_s: float = Field(10, gt=0)

    @field_validator("cache_url")
    @classmethod
    def _known_scheme(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(CACHE_SCHEMES):
            raise ValueError(f"must begin with one of {', '.join(CACHE_SCHEMES)}")
        return url

    @field_validator("ttl_classes", mode="before")
    @classmethod
    def _with_those_that_ship(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given  # for pydantic to refuse
        for name in given:
            if not re.fullmatch(TTL_CLASS_PATTERN, str(name)):
                raise ValueError(f"the name {name!r} must match {TTL_CLASS_PATTERN}")
        made: dict[str, Any] = dict(TTL_CLASSES)
        for name, fields in given.items():
            ships = TTL_CLASSES.get(name)
            changes = ships is not None and isinstance(fields, dict)
            made[name] = {**ships.model_dump(), **fields} if ships and changes else fields
        return made

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if not self.ttl_min_s <= self.ttl_default_s <= self.ttl_max_s:
            raise ValueError("ttl_default_s must lie between ttl_min_s and ttl_max_s")
        if self.origin is not None and self.origins:
            raise ValueError("origin and origins: one of them (origin is one folder at the top)")
        for device in ("", *self.devices):
            quota, headroom, _ = self.limits_of(device)
            if headroom >= quota:
                whose = f" (devices.{device})" if device else ""
                raise ValueError(f"device_headroom must be smaller than device_quota{whose}")
        return self

    @property
    def outwait_s(self) -> float:
        """How long after a fence a lease of this length is over, on anybody's clock."""
        return self.lease_s + self.lease_drift_s

    @property
    def longest_life_s(self) -> float:
        """The longest that a value of the tiers may live, extended or not."""
        return max(self.ttl_max_s, *(each.max_s for each in self.ttl_classes.values()))

    def limits_of(self, device: str) -> tuple[int, int, DevicePolicy]:
        """Quota, headroom and policy of a device: as for all, but for what it has of its own."""
        own = self.devices.get(device, DeviceSettings())
        quota = int(self.device_quota if own.quota is None else own.quota)
        headroom = self.device_headroom if own.headroom is None else own.headroom
        if headroom is None:
            headroom = ByteSize(min(100 * 1024 * 1024, quota // 10))
        return quota, int(headroom), own.policy or self.device_policy

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources = [init_settings, env_settings, _SecretFiles(settings_cls)]
        if path := os.environ.get(CONFIG):
            sources.append(TomlConfigSettingsSource(settings_cls, Path(path)))
        return tuple(sources)


class _SecretFiles(PydanticBaseSettingsSource):
    """``CACHEKEEPER_X_FILE`` names a file that holds the setting X, as secrets are mounted."""

    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002  # the base class passes it
        field_name: str,
    ) -> tuple[Any, str, bool]:
        """The value of one setting; None when no file is named for it."""
        path = os.environ.get(f"{PREFIX}{field_name.upper()}{FILE}")
        if path is None or field_name not in SECRETS:
            return None, field_name, False
        try:
            return Path(path).read_text().strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            variable = f"{PREFIX}{field_name.upper()}{FILE}"
            reason = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
            raise ConfigurationError(f"{variable}: {path}: {reason}") from None

    def __call__(self) -> dict[str, Any]:
        """Every setting that a file holds."""
        fields = self.settings_cls.model_fields.items()
        found = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: value for name, value in found.items() if value is not None}


def load(**given: Any) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: a value is out of bounds, or a name is unknown (with the nearest).
    """
    if (path := os.environ.get(CONFIG)) and not Path(path).is_file():
        raise ConfigurationError(f"{CONFIG}: {path} is not a file")
    names = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG, TRACES}
    names |= {f"{PREFIX}{name.upper()}{FILE}" for name in SECRETS}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in names:
            raise ConfigurationError(f"{variable}: unknown setting{nearest(variable, names)}")
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_say(e) for e in error.errors())) from None
    except SettingsError as error:  # a table that is no JSON in a variable
        raise ConfigurationError(str(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{CONFIG}: {path} is no TOML: {error}") from None


def nearest(name: str, known: set[str]) -> str:
    """``; did you mean X?`` for the known name closest to ``name``, or nothing."""
    match = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {match[0]}?" if match else ""


def _say(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"]) or "settings"
    if error["type"] == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {
            "ttl_classes": TtlClass,
            "devices": DeviceSettings,
            "origins": OriginSettings,
        }
        table = tables.get(str(error["loc"][0])) if len(error["loc"]) > 1 else None
        fields = Settings.model_fields if table is None else table.model_fields
        return f"{name}: unknown setting{nearest(str(error['loc'][-1]), set(fields))}"
    if name in SECRETS or name.startswith("origins"):
        return f"{name}: {error['msg']}"  # what was given may hold a password
    return f"{name}: {error['msg']} (given {error['input']!r})" if error["loc"] else error["msg"]
