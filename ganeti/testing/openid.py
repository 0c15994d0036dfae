# SPDX-License-Identifier: BSD-2-Clause
"""An OpenID provider that signs every user in as ``claims`` say, and can be made to misbehave."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

ISSUER = "https://id.example.com/realm"


class TestProvider:
    """Answers requests as a provider does. ``now`` is the time of day.

    ``asked`` has what browsers were sent with; ``over`` replaces claims of its tokens, and
    ``algorithm`` signs them; with ``mute`` it has the status 500.
    """

    __test__ = False  # it is none, whatever trial makes of its name

    def __init__(self, now: Callable[[], float], issuer: str = ISSUER, secret: str = "") -> None:
        self._now = now
        self.issuer = issuer
        self.secret = secret
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.claims: dict[str, Any] = {"preferred_username": "eve", "groups": ["devs"]}
        self.over: dict[str, Any] = {}
        self.algorithm = "RS256"
        self.signing: Any = None
        self.mute = False
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def authorize(self, address: str) -> str:
        """Return where the browser of a user who has signed in is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = f"code{len(self._codes)}"
        self._codes[code] = asked
        said = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(said)}"

    async def fetch(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        """Answer a request of the remote API."""
        status, document = self.answer(method, urlsplit(address).path, headers, body)
        self.asked.append(address)
        return status, json.dumps(document).encode()

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Any]:
        """Return the status and the document of an answer."""
        base = urlsplit(self.issuer).path
        if self.mute:
            return 500, {}
        if path == f"{base}/.well-known/openid-configuration":
            return 200, {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        if path == f"{base}/keys":
            return 200, KeySet([self.key]).as_dict(private=False)
        if path == f"{base}/token" and method == "POST":
            return self._token(headers, body)
        return 404, {}

    def _token(self, headers: Mapping[str, str], body: bytes) -> tuple[int, object]:
        said = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        asked = self._codes.pop(said.get("code", ""), None)  # each works once
        if asked is None or said["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(said["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        pair = f"{asked['client_id']}:{self.secret}"
        login = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if self.secret and headers.get("Authorization") != login:
            return 401, {"error": "invalid_client"}
        return 200, {"id_token": self.token(asked), "token_type": "Bearer", "access_token": "x"}

    def token(self, asked: Mapping[str, str]) -> str:
        """Return a token for a user who has signed in."""
        now = int(self._now())
        claims = {
            "iss": self.issuer,
            "aud": asked["client_id"],
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 300,
            "sub": "1",
            **self.claims,
            **self.over,
        }
        if self.algorithm == "none":
            parts = ({"alg": "none"}, claims)
            return ".".join((*(_coded(each) for each in parts), ""))
        if self.algorithm == "HS256":
            # As if the public key were a secret, which some readers of tokens fall for.
            signed = ".".join(_coded(each) for each in ({"alg": "HS256", "kid": "one"}, claims))
            secret = self.key.as_pem(private=False)
            mac = hmac.digest(secret, signed.encode(), "sha256")
            return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        header = {"alg": self.algorithm, "kid": self.key.kid}
        key = self.signing or self.key
        return jwt.encode(header, claims, key, algorithms=[self.algorithm])


def _coded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
