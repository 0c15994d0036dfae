# SPDX-License-Identifier: BSD-2-Clause
"""Errors as pages, for people whose browser follows a link to a resource of the remote API."""

from __future__ import annotations

from html import escape

from twisted.web.http_headers import Headers

from ganeti.errors import GanetiError
from ganeti.rapi.problems import CHALLENGES, answer_to
from ganeti.rapi.response import Response

HTML = b"text/html; charset=utf-8"

_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    # The address may have a code of the provider.
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Ganeti</title>
<link rel="stylesheet" href="/ui/style.css">
</head>
<body>
<main class="login">
<h1>{title}</h1>
<p class="problem" role="alert">{why}.</p>
<p>{links}</p>
</main>
</body>
</html>"""


def accepts_page(headers: Headers) -> bool:
    """Return whether the client prefers to show a page, as a browser that follows a link."""
    accepted = b",".join(headers.getRawHeaders(b"accept") or ())
    first = accepted.partition(b",")[0].partition(b";")[0].strip().lower()
    return first in (b"text/html", b"application/xhtml+xml")


def error_page(error: GanetiError, title: str, links: tuple[tuple[str, str], ...]) -> Response:
    """Return the answer that reports ``error`` to a person; ``links`` are addresses with texts.

    It has the status of the answer to programs. It asks for no login: the browser would do so in a
    dialog, which a user who comes from another page does not expect.
    """
    answer = answer_to(error)
    headers = tuple(pair for pair in answer.headers if pair not in CHALLENGES)
    why = str(error).rstrip(".")
    text = _PAGE.format(
        title=escape(title),
        why=escape(why[:1].upper() + why[1:]),
        links=" ".join(
            f'<a class="button" href="{escape(to)}">{escape(says)}</a>' for to, says in links
        ),
    )
    return Response(answer.status, text.encode("utf-8"), (*headers, *_HEADERS), content_type=HTML)
