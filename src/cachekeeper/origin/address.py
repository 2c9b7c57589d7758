"""The root of a server's files: which URL a path has below it, and which path a URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from cachekeeper.core.keys import check_path
from cachekeeper.errors import ForbiddenPath, InvalidInput

PORTS = {"http": 80, "https": 443}
RULE = "a URL of a server and a folder on it, without '.', '..' and '//' in its path"


@dataclass(frozen=True, slots=True)
class Root:
    """A folder on a server. ``path`` is percent-encoded, with a slash at both ends."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"

    def target(self, path: str, *, folder: bool = False) -> str:
        """What to ask the server for: every character that means something in a URL is encoded.

        Raises ForbiddenPath.
        """
        if not path:
            return self.path
        return self.path + _encoded(check_path(path).split("/")) + ("/" if folder else "")

    def below(self, target: str) -> str | None:
        """The path below the root that a target stands for, '' for the root itself, else None.

        Of what is a URL with a host only the path counts: a server behind another one often has
        a wrong idea of its name, and nobody is asked by that name.
        """
        try:
            parts = [unquote(part, errors="strict") for part in urlsplit(target).path.split("/")]
        except (UnicodeDecodeError, ValueError):
            return None
        root = [unquote(part) for part in self.path.strip("/").split("/") if part]
        own = parts[1:-1] if parts[-1] == "" else parts[1:]
        if own[: len(root)] != root or parts[0]:
            return None
        rest = own[len(root) :]
        try:
            return check_path("/".join(rest)) if rest and not _odd(rest) else None if rest else ""
        except ForbiddenPath:
            return None

    def redirected(self, target: str, location: str) -> str | None:
        """The target that a redirect from another one leads to; None: not below this root."""
        try:
            url = urlsplit(urljoin(f"{self.scheme}://{self._netloc}{target}", location))
            port = url.port or PORTS.get(url.scheme, 0)
        except ValueError:
            return None
        if (url.scheme, url.hostname, port) != (self.scheme, self._name, self.port):
            return None
        path = self.below(url.path)
        return None if path is None else self.target(path, folder=url.path.endswith("/"))

    @property
    def _netloc(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def _name(self) -> str | None:
        return urlsplit(f"//{self.host}").hostname


def root_of(url: str, field: str) -> Root:
    """The root that a URL of ``http`` or ``https`` names.

    Raises:
        InvalidInput: it names none; tells ``field``, and not what may be in the URL.
    """
    parts = urlsplit(url)
    segments = [part for part in parts.path.strip("/").split("/") if part]
    plain = [unquote(part) for part in segments]
    if not parts.hostname or "//" in parts.path or _odd(plain):
        raise InvalidInput(field, parts.path, RULE)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = f"/{_encoded(plain)}/" if plain else "/"
    return Root(parts.scheme, host, parts.port or PORTS[parts.scheme], path)


def _encoded(parts: list[str]) -> str:
    return "/".join(quote(part, safe="") for part in parts)


def _odd(parts: list[str]) -> bool:
    """Whether a part of a path could mean another one once it is put together."""
    return any(part in {".", ".."} or "/" in part or "\\" in part for part in parts)
