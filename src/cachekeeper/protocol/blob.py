"""Sending a content, or the rest of it: it never changes, so its hash is all that validates it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import BinaryIO, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cachekeeper.protocol.problems import Problem
from cachekeeper.protocol.ranges import Range, wanted

CHUNK: Final = 256 * 1024
_IMMUTABLE: Final = "private, max-age=31536000, immutable"


def blob_response(request: Request, file: BinaryIO, digest: str) -> Response:
    """The answer to GET or HEAD; it closes the file. Raises Problem for a range that is none."""
    try:
        size, tag = os.fstat(file.fileno()).st_size, f'"{digest}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": _IMMUTABLE}
        if tag in (seen.strip() for seen in request.headers.get("if-none-match", "").split(",")):
            file.close()
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        # If-Range: of another content the rest is no rest, so all of it is sent.
        applies = request.method == "GET" and request.headers.get("if-range", tag) == tag
        part = wanted(request.headers.get("range"), size) if applies else None
    except Problem:
        file.close()
        raise
    sent = part or Range(0, size)
    headers["Content-Length"] = str(sent.stop - sent.start)
    media = "application/octet-stream"
    if request.method == "HEAD":
        file.close()
        return Response(headers=headers, media_type=media)
    status = HTTPStatus.OK
    if part:
        headers["Content-Range"], status = part.of(size), HTTPStatus.PARTIAL_CONTENT
    return StreamingResponse(_chunks(file, sent), status, headers, media)


async def _chunks(file: BinaryIO, part: Range) -> AsyncIterator[bytes]:
    with file:
        at = part.start
        while at < part.stop:
            length = min(CHUNK, part.stop - at)
            chunk = await run_in_threadpool(os.pread, file.fileno(), length, at)
            if not chunk:
                raise OSError("a content is shorter than it was")
            at += len(chunk)
            yield chunk
