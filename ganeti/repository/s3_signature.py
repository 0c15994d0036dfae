# SPDX-License-Identifier: BSD-2-Clause
"""Signatures of requests to S3-compatible stores: AWS Signature Version 4, in the header.

The format is in the documentation of Amazon S3: *Authenticating Requests: Using the Authorization
Header*.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"
_SAFE = "-._~"


@dataclass(frozen=True)
class S3Credentials:
    """Who sends requests to a store in a region."""

    access_key: str
    secret_key: str
    region: str

    def __repr__(self) -> str:
        return f"S3Credentials({self.access_key})"  # without its secret


@dataclass(frozen=True)
class S3Request:
    """A request: ``path`` is not encoded yet, and neither are the names and values of ``query``."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def target(self) -> str:
        """The path and the query as they are sent."""
        query = self.encode_query()
        return encode_path(self.path) + (f"?{query}" if query else "")

    def encode_query(self) -> str:
        """Return the query in its canonical form, which is sent, too."""
        pairs = sorted((quote(k, safe=_SAFE), quote(v, safe=_SAFE)) for k, v in self.query.items())
        return "&".join(f"{name}={value}" for name, value in pairs)


def encode_path(path: str) -> str:
    """Encode a path, once, as S3 has it signed."""
    return quote(path, safe=f"/{_SAFE}")


def sign_request(request: S3Request, who: S3Credentials, now: float) -> dict[str, str]:
    """Return the headers of a request with its signature; ``now`` is in seconds since the epoch.

    All headers of the request are signed, one of which must be its host.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    digest = hashlib.sha256(request.body).hexdigest()
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {"x-amz-content-sha256": digest, "x-amz-date": stamp}
    signed = ";".join(sorted(headers))
    canonical = "\n".join(
        (
            request.method,
            encode_path(request.path),
            request.encode_query(),
            *(f"{name}:{headers[name].strip()}" for name in sorted(headers)),
            "",
            signed,
            digest,
        )
    )
    scope = f"{stamp[:8]}/{who.region}/s3/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{who.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={who.access_key}/{scope}"
    return {
        **headers,
        "authorization": f"{_ALGORITHM} {credential},SignedHeaders={signed},Signature={signature}",
    }
