"""Who asks an origin: read from files and variables, shown nowhere."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

from cachekeeper.errors import ConfigurationError
from cachekeeper.origin_settings import OriginSettings


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user with a password, or a token, or neither."""

    user: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)

    @property
    def header(self) -> dict[str, str]:
        """As a header of HTTP: Basic (RFC 7617) of a user, else Bearer (RFC 6750)."""
        if self.secret is None:
            return {}
        if self.user is None:
            return {"Authorization": f"Bearer {self.secret}"}
        pair = base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}


def credentials_of(name: str, settings: OriginSettings) -> Credentials:
    """What the settings of an origin name.

    Raises:
        ConfigurationError: a file can't be read, a variable is not set, or what is there can be no
            secret. It names the setting, not what was found.
    """
    for kind in ("password", "token"):
        path, variable = getattr(settings, f"{kind}_file"), getattr(settings, f"{kind}_env")
        if path is not None:
            secret = _from_file(f"origins.{name}.{kind}_file", path)
        elif variable is not None:
            secret = _from_variable(f"origins.{name}.{kind}_env", variable)
        else:
            continue
        if not secret.isprintable() or (kind == "token" and not secret.isascii()):
            raise ConfigurationError(f"origins.{name}: no {kind} has such characters")
        return Credentials(settings.user, secret)
    return Credentials()


def _from_file(setting: str, path: Path) -> str:
    try:
        secret = path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
        raise ConfigurationError(f"{setting}: {path}: {reason}") from None
    if not secret:
        raise ConfigurationError(f"{setting}: {path} is empty")
    return secret


def _from_variable(setting: str, variable: str) -> str:
    secret = os.environ.get(variable)
    if not secret:
        raise ConfigurationError(f"{setting}: the variable {variable} is not set")
    return secret
