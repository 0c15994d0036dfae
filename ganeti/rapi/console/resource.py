# SPDX-License-Identifier: BSD-2-Clause
"""The resource that serves the web console.

What it sends is the same for all clients and holds no secrets, so it needs no login: the page asks
for one and reads the cluster through the other resources.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ganeti.rapi.console.console_files import ConsoleFiles, File
from ganeti.rapi.problems import problem
from ganeti.rapi.response import Response, send
from ganeti.rapi.site import ApiRequest

PATH = "ui"

# Pages load nothing from other hosts, run no inline scripts, and are shown in no frame.
_POLICY = (
    "default-src 'none'; script-src 'self'{inline}; style-src 'self'; img-src 'self' data: blob:;"
    " font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    # Browsers ask each time and get 304: a new version is there with the next load.
    ("Cache-Control", "no-cache"),
    ("Vary", "Accept-Encoding"),
)

_METHODS = "GET, HEAD, OPTIONS"


class ConsoleResource(Resource):
    """Serve files, and the page of the console for all addresses that are no files."""

    isLeaf = True

    def __init__(self, files: ConsoleFiles) -> None:
        super().__init__()
        self._files = files

    def render(self, request: ApiRequest) -> int:
        send(request, self._respond(request))
        return NOT_DONE_YET

    def _respond(self, request: ApiRequest) -> Response:
        method = request.method.decode("latin-1")
        if method == "OPTIONS":
            return Response(HTTPStatus.NO_CONTENT, headers=(("Allow", _METHODS),))
        if method not in ("GET", "HEAD"):
            return problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"method {method} is not allowed for the web console; use GET",
                (("Allow", _METHODS),),
            )
        segments = [each.decode("utf-8", "replace") for each in request.postpath or ()]
        if not segments:
            return Response(HTTPStatus.PERMANENT_REDIRECT, headers=(("Location", f"/{PATH}/"),))
        if segments == ["libraries"]:
            return self._libraries()
        file = self._files.find_file(segments)
        if file is None and (segments[0] in ("lib", "src") or "." in segments[0]):
            return problem(HTTPStatus.NOT_FOUND, "the web console has no such file")
        file = file or self._files.page()
        if file is None:
            return problem(
                HTTPStatus.NOT_FOUND, "the web console is not installed with this server"
            )
        return _answer(request, file)

    def _libraries(self) -> Response:
        """Whether the page can be shown yet, for the page that waits for it."""
        status = {"complete": self._files.complete, "progress": self._files.progress}
        headers = (("Cache-Control", "no-store"),)
        return Response(HTTPStatus.OK, msgspec.json.encode(status), headers)


def _answer(request: ApiRequest, file: File) -> Response:
    headers: tuple[tuple[str, str], ...]
    inline = f" {file.inline_script}" if file.inline_script else ""
    headers = (
        *_HEADERS,
        ("Content-Security-Policy", _POLICY.format(inline=inline)),
        ("ETag", file.etag),
    )
    known = (request.getHeader(b"if-none-match") or b"").decode("latin-1")
    # A proxy that compresses answers makes the tag a weak one.
    if file.etag in [each.strip().removeprefix("W/") for each in known.split(",")]:
        return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    content = file.content
    if b"gzip" in (request.getHeader(b"accept-encoding") or b""):
        headers, content = (*headers, ("Content-Encoding", "gzip")), file.compressed
    return Response(
        HTTPStatus.OK,
        content,
        headers,
        content_type=file.content_type.encode("ascii"),
        line_end=False,
    )
