"""``python -m cachekeeper.protocol``: the endpoint for devices, until a signal says stop."""

from __future__ import annotations

import ipaddress
import logging
import sys

import click
import uvicorn

from cachekeeper import settings
from cachekeeper.client.cache import Cache
from cachekeeper.client.devices import open_devices
from cachekeeper.errors import CachekeeperError, ConfigurationError
from cachekeeper.protocol.app import Endpoint
from cachekeeper.protocol.patience import HEAD_S, PatientProtocol

#: Connections at a time; further ones are told 503.
CONNECTIONS = 200
HEAD_BYTES = 16 * 1024
#: Seconds that downloads have to end when the server is told to stop.
LEAVING_S = 2

log = logging.getLogger("uvicorn.error")


@click.command()
@click.option("--host", help="Address to listen on  [default: setting device_host]")
@click.option("--port", type=click.IntRange(1, 65535), help="[default: setting device_port]")
def main(host: str | None, port: int | None) -> None:
    """Serve devices over HTTP."""
    try:
        given = settings.load(memory_bytes=0)  # no node that invalidations would wait for
        port = port or given.device_port
        if not port:
            raise ConfigurationError("device_port: it is 0, which stands for no endpoint")
        with Cache(given) as cache:
            serve(cache, host or given.device_host, port)
    except CachekeeperError as error:
        sys.exit(f"error: {error}")


def serve(cache: Cache, host: str, port: int) -> None:
    """Serve until a signal says stop."""
    config = uvicorn.Config(
        Endpoint(open_devices(cache)).app(),
        host=host,
        port=port,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=int(HEAD_S),
        timeout_graceful_shutdown=LEAVING_S,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    if not _is_loopback(host):
        log.warning("%s is reachable from elsewhere, and tokens travel as they are: put a proxy "
                    "with TLS before it", host)  # fmt: skip
    uvicorn.Server(config).run()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main()
