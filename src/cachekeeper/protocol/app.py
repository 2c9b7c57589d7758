"""The routes, and what stands before each: who asks, and how often."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cachekeeper.client.devices import DeviceDesk
from cachekeeper.core.device import DEMAND
from cachekeeper.core.following import Page, Row
from cachekeeper.core.retention import Priority
from cachekeeper.errors import Busy, CachekeeperError, InvalidInput
from cachekeeper.protocol import problems
from cachekeeper.protocol.blob import blob_response
from cachekeeper.protocol.bodies import parse_report
from cachekeeper.protocol.limits import Rates, body_of
from cachekeeper.protocol.problems import Problem, unauthorized
from cachekeeper.services.follow import PAGE_AT_MOST

#: Files that are fetched from the origin at a time; other requests don't wait behind them.
FETCHES: Final = 8

Handler = Callable[[Request, str], Awaitable[Response]]


class Endpoint:
    """The requests of devices."""

    def __init__(self, desk: DeviceDesk) -> None:
        self._desk, self._rates = desk, Rates()
        self._fetches = asyncio.Semaphore(FETCHES)

    def app(self) -> Starlette:
        """The ASGI application."""
        of = "/v1/devices/{device}"
        app = Starlette(
            routes=[
                Route(f"{of}/manifest", self._known(self.manifest), methods=["GET"]),
                Route(f"{of}/blobs/{{sha256}}", self._known(self.blob), methods=["GET"]),
                Route(f"{of}/files", self._known(self.fetch), methods=["POST"]),
                Route(f"{of}/reports", self._known(self.report), methods=["POST"]),
                Route(f"{of}/pins", self._known(self.pins), methods=["GET"]),
                Route(f"{of}/pins", self._known(self.pin), methods=["PUT"]),
                Route(f"{of}/pins", self._known(self.unpin), methods=["DELETE"]),
            ],
            exception_handlers={
                Problem: problems.refused,
                CachekeeperError: problems.failed,
                HTTPException: problems.unknown,
                Exception: problems.broken,
            },
        )
        # Else whoever adds a slash is sent elsewhere, under the name of us that they gave.
        app.router.redirect_slashes = False
        return app

    async def manifest(self, request: Request, device: str) -> Response:
        """What changed since a cursor."""
        given = request.query_params
        limit = given.get("limit", str(PAGE_AT_MOST))
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 8):
            raise InvalidInput("limit", limit, f"1 to {PAGE_AT_MOST}")
        page = await run_in_threadpool(
            self._desk.follower.page, device, given.get("since"), int(limit)
        )
        return JSONResponse(_told(page))

    async def blob(self, request: Request, device: str) -> Response:
        """A content that the device's manifest has under a path, or a part of it."""
        digest, path = request.path_params["sha256"], _path(request)
        stores = self._desk.cache.stores
        held = await run_in_threadpool(stores.devices.entry, device, path)
        file = None
        if held is not None and held.sha256 == digest:
            file = await run_in_threadpool(stores.files.open, device, held.copy)
        if file is None:
            detail = "the manifest of this device has no such content under this path"
            raise Problem(HTTPStatus.NOT_FOUND, detail)
        return blob_response(request, file, digest)

    async def fetch(self, request: Request, device: str) -> Response:
        """Have a file in the manifest, read through from the origin if need be."""
        path = _path(request)
        async with self._fetches:
            row = await run_in_threadpool(self._fetched, device, path)
        return JSONResponse(dataclasses.asdict(row))

    async def report(self, request: Request, device: str) -> Response:
        """What the device read, and how it is."""
        report = parse_report(await body_of(request))
        state = report.state.as_device_state() if report.state else None
        done = await run_in_threadpool(
            self._desk.reporter.record, device, report.id, report.accesses, state
        )
        if report.accesses and not done.repeated:
            last = report.accesses[-1]
            await run_in_threadpool(self._desk.cache.device(device).read_elsewhere, last)
        return JSONResponse(dataclasses.asdict(done))

    async def pins(self, _: Request, device: str) -> Response:
        """What is pinned."""
        found = await run_in_threadpool(self._desk.pinner.pins, device)
        listed = [{"path": path, "bytes": size} for path, size in found.items()]
        return JSONResponse({"pins": listed, "bytes": sum(found.values())})

    async def pin(self, request: Request, device: str) -> Response:
        """Keep a file."""
        path = _path(request)
        async with self._fetches:
            size = await run_in_threadpool(self._desk.pinner.pin, device, path)
        return JSONResponse({"path": path, "bytes": size})

    async def unpin(self, request: Request, device: str) -> Response:
        """Keep it no longer than others."""
        await run_in_threadpool(self._desk.pinner.unpin, device, _path(request))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _known(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            device = request.path_params["device"]
            kind, _, token = request.headers.get("authorization", "").partition(" ")
            known = await run_in_threadpool(self._desk.enrolment.is_known, device, token.strip())
            if not known or kind.lower() != "bearer":
                raise unauthorized()
            self._rates.check(device, time.monotonic())
            return await handler(request, device)

        return handle

    def _fetched(self, device: str, path: str) -> Row:
        desk = self._desk
        if not desk.cache.device(device).get(path).kept:
            caches = desk.cache.device_caches
            caches.fetch(device, path, Priority.MEDIUM, DEMAND)  # or it says why not
        row = desk.cache.stores.following.row(device, path)
        if row is None:
            raise Busy(f"{path}: evicted from {device} before it was told")
        return row


def _path(request: Request) -> str:
    path = request.query_params.get("path")
    if path is None:
        raise InvalidInput("path", None, "a relative path, in the query")
    return path


def _told(page: Page) -> dict[str, Any]:
    return {
        "full": page.full,
        "entries": [dataclasses.asdict(row) for row in page.entries],
        "gone": page.gone,
        "cursor": str(page.cursor),
        "more": page.more,
    }
