"""The settings of one origin: where it is, who asks, and how much may be asked of it.

Secrets are named here and held nowhere: they come from a file or a variable when the origin is
opened, and no setting, error or record shows them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ByteSize, ConfigDict, Field, field_validator, model_validator

OriginName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
#: What an option of a file system may not be called: it would stand in a file of settings.
SECRET: Final = re.compile(r"pass|secret|token|^key$|credential", re.IGNORECASE)
HINT: Final = "name a file that holds it: user and password_file, or token_file"


class OriginSettings(BaseModel):
    """One origin; durations in seconds. Limits hold for each process by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    url: str = Field(description="a folder, or http(s)://, webdav(s)://, s3://, sftp://, ...")
    user: str | None = Field(None, min_length=1)
    password_file: Path | None = None
    password_env: str | None = Field(None, min_length=1, description="name of a variable")
    token_file: Path | None = Field(None, description="of a bearer token, in place of a user")
    token_env: str | None = Field(None, min_length=1, description="name of a variable")
    ca_file: Path | None = Field(None, description="whose certificates to trust, besides none")
    connect_s: float = Field(5, gt=0, le=60, description="to reach the server")
    read_s: float = Field(20, gt=0, le=300, description="without a byte of what was asked for")
    concurrency: int = Field(8, ge=1, le=256, description="requests and open files at a time")
    wait_s: float = Field(10, gt=0, le=120, description="for one of these to end")
    bytes_per_s: ByteSize | None = Field(None, ge=1024, description="of contents; none: no limit")
    failures: int = Field(5, ge=1, description="in a row, after which it is left alone for a while")
    poll_s: float = Field(30, ge=0.1, description="how often a watcher asks what changed")
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="for fsspec's file system, as its documentation says"
    )

    @property
    def scheme(self) -> str:
        """In small letters; ``file`` of a folder's path."""
        return "file" if self.url.startswith("/") else urlsplit(self.url).scheme.lower()

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, url: str) -> str:
        if url.startswith("/"):
            return url
        scheme, colon, _ = url.partition("://")
        if not colon or not SCHEME.fullmatch(scheme.lower()):
            raise ValueError("must be the path of a folder or a URL")
        # Not by urlsplit: a password with a '#' or '/' in it ends what that takes for the host.
        if "@" in url.partition("://")[2]:
            raise ValueError(f"must hold neither a user nor a password ('@' is %40); {HINT}")
        if "?" in url or "#" in url:
            raise ValueError(f"must have no '?' and no '#' (%3F, %23 in names); {HINT}")
        if scheme.lower() == "file" and not url.partition("://")[2].startswith("/"):
            raise ValueError("must name a folder of this host: file:///folder")
        try:
            urlsplit(url).port  # noqa: B018  # parsed when it is asked for
        except ValueError:
            raise ValueError("must have a port of 1 to 65535, if any") from None
        return url

    @field_validator("options")
    @classmethod
    def _no_secret_options(cls, options: dict[str, object]) -> dict[str, object]:
        for name in options:
            if SECRET.search(name):
                raise ValueError(f"{name}: no place for a secret; {HINT}")
        return options

    @model_validator(mode="after")
    def _together(self) -> OriginSettings:
        passwords = [self.password_file, self.password_env]
        given = [each for each in (*passwords, self.token_file, self.token_env) if each is not None]
        if len(given) > 1:
            raise ValueError("one of password_file, password_env, token_file and token_env at most")
        if (self.user is not None) != any(each is not None for each in passwords):
            raise ValueError("user goes with password_file or password_env, and they with user")
        if given and self.scheme == "file":
            raise ValueError("a folder takes no credentials")
        if self.options and self.scheme in {"file", "http", "https", "webdav", "webdavs"}:
            raise ValueError("options are for the file systems of fsspec only")
        return self
