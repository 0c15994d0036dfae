# SPDX-License-Identifier: BSD-2-Clause
"""Signing in by an OpenID provider: the authorization code flow with PKCE.

OpenID Connect Core 1.0 section 3.1, RFC 7636 (PKCE), RFC 9207 (the issuer in the answer). What has
to be known when the browser comes back is in a cookie of that browser, so that any process of the
remote API can go on, and no site can make a browser sign in as another user.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ganeti.access.display_text import printable
from ganeti.access.url_security import is_secure
from ganeti.errors import Code, Refused, Unauthenticated
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import QueryOpenId
from ganeti.model.users import OpenIdProvider
from ganeti.rapi.on_behalf import OnBehalf
from ganeti.rapi.problems import HttpProblem
from ganeti.schema.documents import UNREADABLE

T = TypeVar("T")

COOKIE = "__Host-ganeti-openid"
SIGN_IN_TIMEOUT = 600
"""Seconds that a user may take to sign in at the provider."""

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures by a key that only the provider has; none of a shared secret, and not none."""

KEEP_SECONDS = 3600.0
"""For how long what the provider says of itself is kept."""

AGAIN_SECONDS = 30.0
"""How soon its keys may be asked for again, when a token names one that is not among them."""

SKEW = 60
"""Seconds by which the provider's clock may differ."""

MAX_GROUPS, MAX_NAME = 500, 200

Fetch = Callable[[str, str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Sends a request (method, address, headers, body): the status and the body of the answer."""


class _Discovered(msgspec.Struct):
    """What a provider says of itself (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(msgspec.Struct):
    id_token: str


class _Begun(msgspec.Struct):
    """What the cookie of a browser holds while it is away."""

    state: str
    nonce: str
    verifier: str
    at: int


@dataclass(frozen=True)
class OpenidRedirect:
    """Where a browser is sent, and what its cookie holds."""

    location: str
    cookie: str


@dataclass(frozen=True)
class External:
    """A user that a provider vouches for."""

    user: str
    groups: tuple[str, ...]


@dataclass
class _Known:
    """What is known of a provider, and since when."""

    discovered: _Discovered
    keys: KeySet
    since: float


class OpenIdClient:
    """Signs users in. ``seconds`` is a monotonic clock, ``now`` the time of day."""

    def __init__(
        self,
        fetch: Fetch,
        seconds: Callable[[], float],
        now: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._now = now
        self._random = random
        self._known: dict[str, _Known] = {}

    async def start_sign_in(self, provider: OpenIdProvider) -> OpenidRedirect:
        """Return where a browser signs in.

        :raises HttpProblem: the provider does not answer as one.
        """
        known = await self._provider(provider)
        state, nonce, verifier = (self._word() for _ in range(3))
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": provider.redirect_uri,
            "scope": " ".join(provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _coded(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        endpoint = known.discovered.authorization_endpoint
        begun = _Begun(state, nonce, verifier, int(self._now()))
        return OpenidRedirect(
            f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}",
            _coded(msgspec.json.encode(begun)),
        )

    async def finish_sign_in(
        self, provider: OpenIdProvider, cookie: str, said: Mapping[str, str]
    ) -> External:
        """Return who has signed in, by the cookie and what the provider has the browser say.

        :raises Unauthenticated: the sign-in has failed or expired.
        :raises HttpProblem: the provider does not answer as one.
        """
        begun = _begun(cookie)
        if begun is None or not 0 <= self._now() - begun.at <= SIGN_IN_TIMEOUT:
            raise Unauthenticated("signing in was not begun here, or took too long; begin again")
        if not hmac.compare_digest(begun.state.encode(), said.get("state", "").encode()):
            raise Unauthenticated("this answer belongs to another attempt to sign in; begin again")
        # Providers need not send it.
        if said.get("iss", provider.issuer) != provider.issuer:
            raise Unauthenticated("this answer is from another provider")
        if "code" not in said:
            why = printable(said.get("error_description") or said.get("error", "no reason"), 200)
            raise Unauthenticated(f"the OpenID provider has refused: {why}")
        tokens = await self._tokens(provider, said["code"], begun.verifier)
        claims = await self._claims(provider, tokens.id_token)
        self._require_ours(provider, claims, begun.nonce)
        return _external(provider, claims)

    # --- what the provider is asked

    async def _provider(self, provider: OpenIdProvider) -> _Known:
        known = self._known.get(provider.issuer)
        if known is None or self._seconds() - known.since > KEEP_SECONDS:
            address = provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
            discovered = await self._get(address, _Discovered)
            endpoints = (
                discovered.authorization_endpoint,
                discovered.token_endpoint,
                discovered.jwks_uri,
            )
            if discovered.issuer != provider.issuer or not all(map(is_secure, endpoints)):
                raise _not_a_provider("it names another issuer, or an address without https")
            # There is only one provider at a time.
            self._known.clear()
            known = _Known(discovered, await self._keys(discovered), self._seconds())
            self._known[provider.issuer] = known
        return known

    async def _keys(self, discovered: _Discovered) -> KeySet:
        try:
            keys: Any = await self._get(discovered.jwks_uri, dict[str, Any])
            return KeySet.import_key_set(keys)
        except (JoseError, ValueError, KeyError, TypeError) as e:
            raise _not_a_provider(f"its keys cannot be read: {type(e).__name__}") from None

    async def _get(self, address: str, kind: type[T]) -> T:
        status, body = await self._fetch("GET", address, {"Accept": "application/json"}, b"")
        if status != HTTPStatus.OK:
            raise _not_a_provider(f"{address} has the status {status}")
        try:
            return msgspec.json.decode(body, type=kind)
        except UNREADABLE:
            raise _not_a_provider(f"{address} cannot be read") from None

    async def _tokens(self, provider: OpenIdProvider, code: str, verifier: str) -> _Tokens:
        known = await self._provider(provider)
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": provider.redirect_uri,
            "client_id": provider.client_id,
            "code_verifier": verifier,
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        if provider.client_secret:
            # RFC 6749, section 2.3.1: each is encoded as in a form.
            pair = f"{quote(provider.client_id, '')}:{quote(provider.client_secret, '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
        address = known.discovered.token_endpoint
        status, body = await self._fetch("POST", address, headers, urlencode(asked).encode())
        if status != HTTPStatus.OK:
            raise Unauthenticated("the OpenID provider does not take the code that it has given")
        try:
            return msgspec.json.decode(body, type=_Tokens)
        except UNREADABLE:
            raise _not_a_provider("its token cannot be read") from None

    # --- what its token says

    async def _claims(self, provider: OpenIdProvider, text: str) -> Mapping[str, object]:
        known = await self._provider(provider)
        try:
            return _verified(text, known.keys)
        except Unauthenticated:
            if self._seconds() - known.since < AGAIN_SECONDS:
                raise
        # It may have new keys.
        known.keys, known.since = await self._keys(known.discovered), self._seconds()
        return _verified(text, known.keys)

    def _require_ours(
        self, provider: OpenIdProvider, claims: Mapping[str, object], nonce: str
    ) -> None:
        """Refuse a token that is not from this provider, for this cluster, and of now.

        OpenID Connect Core 1.0, section 3.1.3.7.
        """
        now = self._now()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        party = claims.get("azp", provider.client_id)
        expires, issued = claims.get("exp"), claims.get("iat", now)
        good = (
            claims.get("iss") == provider.issuer
            and provider.client_id in audiences
            and party == provider.client_id
            and isinstance(expires, int | float)
            and isinstance(issued, int | float)
            and expires + SKEW > now
            and issued - SKEW < now
            and hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode())
        )
        if not good:
            raise Unauthenticated("the token of the OpenID provider is not for this sign-in")

    def _word(self) -> str:
        return _coded(self._random(32))


class SignIn:
    """Signs in by the provider that the master knows; see ``ganeti.rapi.verbs.OpenIdSignIn``."""

    def __init__(self, client: OpenIdClient, master: IMaster) -> None:
        self._client = client
        self._master = master

    async def available(self) -> bool:
        return await self._master.ask(QueryOpenId()) is not None

    async def start_sign_in(self) -> OpenidRedirect:
        return await self._client.start_sign_in(await self._provider())

    async def finish_sign_in(self, cookie: str, said: Mapping[str, str], source: str) -> IMaster:
        external = await self._client.finish_sign_in(await self._provider(), cookie, said)
        caller = Caller(user=external.user, external=True, groups=external.groups, source=source)
        return OnBehalf(self._master, caller)

    async def _provider(self) -> OpenIdProvider:
        told = await self._master.ask(QueryOpenId())
        if told is None:
            raise Refused("this cluster has no OpenID provider", Code.UNKNOWN)
        return msgspec.convert(told, OpenIdProvider)


def _verified(text: str, keys: KeySet) -> Mapping[str, object]:
    try:
        claims: Mapping[str, object] = jwt.decode(text, keys, algorithms=list(ALGORITHMS)).claims
    except (JoseError, ValueError, KeyError, TypeError):
        raise Unauthenticated("the token of the OpenID provider is not signed by it") from None
    return claims


def _external(provider: OpenIdProvider, claims: Mapping[str, object]) -> External:
    name = claims.get(provider.username_claim)
    if not isinstance(name, str) or not name or printable(name, MAX_NAME) != name:
        raise Unauthenticated(f"the OpenID provider gives no usable {provider.username_claim}")
    groups = claims.get(provider.groups_claim, [])
    groups = [groups] if isinstance(groups, str) else groups
    if not isinstance(groups, list):
        groups = []
    usable = [each for each in groups if isinstance(each, str) and each.isprintable()]
    # No user of the provider can have the name of a user of the cluster.
    return External(f"openid:{name}", tuple(each[:MAX_NAME] for each in usable[:MAX_GROUPS]))


def _begun(cookie: str) -> _Begun | None:
    try:
        text = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
        return msgspec.json.decode(text, type=_Begun)
    except (ValueError, *UNREADABLE):
        return None


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _not_a_provider(why: str) -> HttpProblem:
    return HttpProblem(HTTPStatus.BAD_GATEWAY, f"the OpenID provider cannot be used: {why}")
