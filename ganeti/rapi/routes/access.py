# SPDX-License-Identifier: BSD-2-Clause
"""Users, their roles, tokens and sessions, and who has done what."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import Annotated, Any, NotRequired, TypedDict

from ganeti.access.passwords import require_usable
from ganeti.access.tokens import DEFAULT_LIFETIME, digest_of, new_token
from ganeti.errors import Code, Refused, Unauthenticated
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import (
    CloseSession,
    EndSession,
    OpenSession,
    QueryAccess,
    QueryCaller,
    QueryHistory,
    SubmitJob,
)
from ganeti.model.users import Role, UserName
from ganeti.opcodes.access import (
    AddToken,
    AddUser,
    GrantRole,
    ModifyUser,
    OnlyGroups,
    OnlyOwners,
    OnlyTags,
    RemoveOpenId,
    RemoveUser,
    RevokeRole,
    RevokeToken,
    SetOpenId,
)
from ganeti.opcodes.opcode import Opcode
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.cookies import Cookie, cookie_value, set_cookie
from ganeti.rapi.openid import COOKIE as OPENID_COOKIE
from ganeti.rapi.openid import SIGN_IN_TIMEOUT
from ganeti.rapi.request_arguments import REASON, ArgumentType, QueryParameter, QueryValues
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import (
    Answer,
    ApiCall,
    ErrorPage,
    OpenIdSignIn,
    WithHeaders,
    asks,
    reason_trail,
    submits,
)
from ganeti.schema.records import Record, doc, replace
from ganeti.schema.types import Line, Positive

Password = Annotated[
    Line | None, doc("The password, in 8 to 1024 characters; only a hash of it is kept.")
]


class NewUser(Record):
    """A user to add."""

    user_name: Annotated[UserName, doc("The name of the user.")]
    password: Password = None
    note: Annotated[Line, doc("Free text, shown in lists.")] = ""


class ChangedUser(Record):
    """What is to be different of a user."""

    password: Password = None
    remove_password: Annotated[bool, doc("Let the user sign in without a password only.")] = False
    disabled: Annotated[bool | None, doc("Refuse the user until it is enabled again.")] = None
    note: Annotated[Line | None, doc("Free text, shown in lists.")] = None


class TokenRequest(Record):
    """A token to add."""

    user_name: Annotated[
        UserName | None, doc("Whose token it is; that of who asks if not given.")
    ] = None
    role: Annotated[Role, doc("The highest role that the token has.")] = Role.ADMIN
    tags: OnlyTags = ()
    groups: OnlyGroups = ()
    owners: OnlyOwners = ()
    lifetime: Annotated[Positive, doc("How long it is valid, in seconds.")] = DEFAULT_LIFETIME
    note: Annotated[Line, doc("Free text, shown in lists.")] = ""


class Added(TypedDict):
    """A token that is added by a job; its text is told here, and never again."""

    job_id: int
    id: str
    token: str


class UserRow(TypedDict):
    """A user of the cluster."""

    name: str
    password: bool
    disabled: bool
    created: int
    comment: str
    roles: list[str]


class GrantRow(TypedDict):
    """A role that is granted."""

    id: str
    subject: str
    role: str
    tags: list[str]
    groups: list[str]
    owners: list[str]
    created: int


class TokenRow(TypedDict):
    """A token."""

    id: str
    user: str
    role: str
    tags: list[str]
    groups: list[str]
    owners: list[str]
    created: int
    expires: int
    used: int | None
    comment: str


class SessionRow(TypedDict):
    """A browser that has signed in; times are in seconds since the epoch."""

    id: str
    user: str
    source: str
    token: str | None
    created: int
    used: int
    expires: int


class SignInRow(TypedDict):
    """How one can sign in besides by a password."""

    openid: bool


class CallerRow(TypedDict):
    """Who asks, and as what."""

    user: str
    role: str | None
    limited: bool
    token: NotRequired[str | None]
    csrf: NotRequired[str]


def _listing(what: str, text: str) -> Answer:
    async def answer(call: ApiCall, _: object, __: object) -> object:
        return await call.master.ask_raw(QueryAccess(what=what))

    answer.__doc__ = text
    return answer


async def _add_user(call: ApiCall, values: QueryValues, user: NewUser) -> object:
    """Add a user, who has no rights before a role is granted; answers with the job's number."""
    hashed = await _hash(call, user.password)
    opcode = AddUser(user_name=user.user_name, password_hash=hashed, note=user.note)
    return await _submit(call, values, opcode)


async def _modify_user(call: ApiCall, values: QueryValues, user: ChangedUser) -> object:
    """Change a user; answers with the number of the job."""
    opcode = ModifyUser(
        user_name=call.path["user_name"],
        password_hash=await _hash(call, user.password),
        remove_password=user.remove_password,
        disabled=user.disabled,
        note=user.note,
    )
    return await _submit(call, values, opcode)


async def _add_token(call: ApiCall, values: QueryValues, wanted: TokenRequest) -> object:
    """Add a token, whose text is told here once; it works when the job has succeeded."""
    token = new_token(call.services.random)
    opcode = AddToken(
        token_id=token.token_id,
        digest=token.digest,
        user_name=wanted.user_name or call.admitted.user,
        lifetime=wanted.lifetime,
        role=wanted.role,
        tags=wanted.tags,
        groups=wanted.groups,
        owners=wanted.owners,
        note=wanted.note,
    )
    job_id = await _submit(call, values, opcode)
    return {"job_id": job_id, "id": token.token_id, "token": token.text}


async def _who(call: ApiCall, _: object, __: object) -> object:
    """Who asks: the user, its highest role, and whether that is limited to some instances."""
    admitted = call.admitted
    told: dict[str, Any] = {
        "user": admitted.user,
        "role": None if admitted.role is None else admitted.role.value,
        "limited": admitted.limited,
        "token": admitted.caller.token or None,
    }
    return {**told, "csrf": admitted.csrf} if admitted.csrf else told


class SignedIn(CallerRow):
    """Who has signed in, and how long that lasts at most."""

    expires: float


class OpenIdRow(TypedDict):
    """The OpenID provider, without its secret."""

    issuer: str
    client_id: str
    redirect_uri: str
    username_claim: str
    groups_claim: str
    scopes: list[str]


class ChangedRow(TypedDict):
    """An object that was changed."""

    kind: str
    action: str
    name: NotRequired[str | None]
    uuid: NotRequired[str | None]


class HistoryRow(TypedDict):
    """Something that has happened, or was denied."""

    position: int
    at: float
    user: str
    how: str
    what: str
    job: int | None
    denied: bool
    count: int
    changes: list[ChangedRow]


async def _history(call: ApiCall, values: QueryValues, _: object) -> object:
    """Who has changed what, the newest first; administrators are told denials, too."""
    request = QueryHistory(
        name=values.get("name"),
        user=values.get("user"),
        since=values.get("since"),
        until=values.get("until"),
        limit=values.get("limit", 100),
    )
    return await call.master.ask_raw(request)


async def _sign_in(call: ApiCall, _: object, __: object) -> object:
    """Begin a session of a browser, which gets a cookie; sign in by a password or a token.

    What changes something in the session needs the header X-CSRF-Token, with what is answered here.
    """
    return await begin_session(call, call.master)


async def begin_session(call: ApiCall, master: IMaster) -> WithHeaders:
    """Begin a session of the caller that ``master`` is asked on behalf of."""
    secret = base64.urlsafe_b64encode(call.services.random(32)).rstrip(b"=").decode("ascii")
    cookie = Cookie(call.services.random(8).hex(), secret)
    lasts = await master.ask(OpenSession(session=cookie.session_id, digest=digest_of(secret)))
    described = await master.ask(QueryCaller())
    told = {name: described[name] for name in ("user", "role", "limited", "token")}
    told |= {"csrf": cookie.csrf, "expires": call.now + lasts}
    return WithHeaders(told, (("Set-Cookie", set_cookie(cookie, int(lasts))), NOT_STORED))


async def _end_session(call: ApiCall, _: object, __: object) -> None:
    """End a session, and whatever is open in it; those of others are for administrators."""
    await call.master.ask(EndSession(session=call.path["session_id"]))


async def _sign_in_ways(call: ApiCall, _: object, __: object) -> object:
    """How one can sign in besides by a password, for pages that ask for one."""
    openid = call.services.openid
    return {"openid": openid is not None and await openid.available()}


async def _openid_begin(call: ApiCall, _: object, __: object) -> object:
    """Send a browser to the OpenID provider, from where it comes back signed in."""
    beginning = await _openid(call).start_sign_in()
    cookie = f"{OPENID_COOKIE}={beginning.cookie}; Max-Age={SIGN_IN_TIMEOUT}; {_LAX}"
    headers = (("Location", beginning.location), ("Set-Cookie", cookie), NOT_STORED)
    return WithHeaders(None, headers, HTTPStatus.SEE_OTHER)


async def _openid_finish(call: ApiCall, values: QueryValues, _: object) -> object:
    """Begin a session of a browser that comes back from the OpenID provider."""
    begun = cookie_value(call.cookies, OPENID_COOKIE)
    if begun is None:
        raise Unauthenticated("signing in was not begun here, or took too long; begin again")
    master = await _openid(call).finish_sign_in(begun, values, call.admitted.caller.source)
    session = await begin_session(call, master)
    over = ("Set-Cookie", f"{OPENID_COOKIE}=; Max-Age=0; {_LAX}")
    headers = (over, *session.headers, ("Location", CONSOLE))
    return WithHeaders(None, headers, HTTPStatus.SEE_OTHER)


def _openid(call: ApiCall) -> OpenIdSignIn:
    if call.services.openid is None:
        raise Refused("this cluster has no OpenID provider", Code.UNKNOWN)
    return call.services.openid


_LAX = "Path=/; Secure; HttpOnly; SameSite=Lax"
"""The browser comes back by a link of another site, so that this one cookie cannot be strict."""

CONSOLE = "/ui/"
"""Where a browser goes when it has signed in."""


async def _sign_out(call: ApiCall, _: object, __: object) -> object:
    """End the session, and whatever is open in it."""
    if not call.admitted.caller.session:
        raise Refused("this request is not of a session; there is nothing to end", Code.UNKNOWN)
    await call.master.ask(CloseSession())
    return WithHeaders(None, (("Set-Cookie", set_cookie(None, 0)),))


NOT_STORED = ("Cache-Control", "no-store")


async def _hash(call: ApiCall, password: str | None) -> str | None:
    if password is None:
        return None
    require_usable(password)
    return await call.services.hash_password(password, call.admitted.caller.source)


async def _submit(call: ApiCall, values: QueryValues, opcode: Opcode) -> int:
    trail = tuple(reason_trail(call, values.get("reason")))
    return await call.master.ask(SubmitJob(ops=(replace(opcode, reason=trail),)))


_FILTERS = (
    QueryParameter(
        "name", ArgumentType.TEXT, "Only what is about the object of this name or UUID."
    ),
    QueryParameter("user", ArgumentType.TEXT, "Only what this user did, or was denied."),
    QueryParameter(
        "since", ArgumentType.NUMBER, "Only what happened then or later; seconds since the epoch."
    ),
    QueryParameter("until", ArgumentType.NUMBER, "Only what happened then or earlier."),
    QueryParameter(
        "limit", ArgumentType.NUMBER, "How many entries there are at most: 1 to 1000; default 100."
    ),
)
_SAID = tuple(
    QueryParameter(name, ArgumentType.TEXT, f"As the provider says it: {text}.")
    for name, text in (
        ("code", "what the token is got for"),
        ("state", "which attempt this is about"),
        ("iss", "who the provider is"),
        ("session_state", "its own session"),
        ("error", "why the sign-in failed"),
        ("error_description", "the same in words"),
        ("error_uri", "where there is more"),
    )
)
_NO_PROVIDER = {
    HTTPStatus.SEE_OTHER: "The browser is sent on.",
    HTTPStatus.NOT_FOUND: "The cluster has no OpenID provider.",
}
_NOT_SIGNED_IN = ErrorPage(
    "You are not signed in",
    (("/2/access/openid/login", "Sign in with OpenID"), (CONSOLE, "Web console")),
)
_NO_SESSION = {HTTPStatus.NOT_FOUND: "There is no such session of the caller."}
_SESSIONS = "/2/access/sessions"
_USERS, _ROLES, _TOKENS = "/2/access/users", "/2/access/roles", "/2/access/tokens"

ROUTES = (
    Route(
        _USERS,
        {
            "GET": asks(
                _listing(
                    "users",
                    "Return the users; a caller who is not an administrator gets only itself.",
                ),
                access=AccessLevel.LOGIN,
                result=list[UserRow],
            ),
            "POST": asks(
                _add_user,
                parameters=(REASON,),
                access=AccessLevel.ADMIN,
                body=NewUser,
                result=int,
                unlimited=True,
            ),
        },
    ),
    Route(
        _USERS + "/{user_name}",
        {
            "PUT": asks(
                _modify_user,
                parameters=(REASON,),
                access=AccessLevel.ADMIN,
                body=ChangedUser,
                result=int,
                unlimited=True,
            ),
            "DELETE": submits(RemoveUser, access=AccessLevel.ADMIN),
        },
    ),
    Route(
        _ROLES,
        {
            "GET": asks(
                _listing(
                    "roles", "Roles that are granted; who is no administrator is told its own."
                ),
                access=AccessLevel.LOGIN,
                result=list[GrantRow],
            ),
            "POST": submits(GrantRole, access=AccessLevel.ADMIN),
        },
    ),
    Route(_ROLES + "/{grant_id}", {"DELETE": submits(RevokeRole, access=AccessLevel.ADMIN)}),
    Route(
        _TOKENS,
        {
            "GET": asks(
                _listing("tokens", "Tokens; who is no administrator is told its own."),
                access=AccessLevel.LOGIN,
                result=list[TokenRow],
            ),
            "POST": asks(
                _add_token,
                parameters=(REASON,),
                access=AccessLevel.LOGIN,
                body=TokenRequest,
                result=Added,
            ),
        },
    ),
    Route(_TOKENS + "/{token_id}", {"DELETE": submits(RevokeToken, access=AccessLevel.LOGIN)}),
    Route(
        "/2/access/session",
        {
            "GET": asks(_who, access=AccessLevel.LOGIN, result=CallerRow),
            "POST": asks(_sign_in, access=AccessLevel.LOGIN, result=SignedIn),
            "DELETE": asks(_sign_out, access=AccessLevel.LOGIN, result=None),
        },
    ),
    Route(
        _SESSIONS,
        {
            "GET": asks(
                _listing("sessions", "Sessions; who is no administrator is told its own."),
                access=AccessLevel.LOGIN,
                result=list[SessionRow],
            )
        },
    ),
    Route(
        _SESSIONS + "/{session_id}",
        {"DELETE": asks(_end_session, access=AccessLevel.LOGIN, result=None, errors=_NO_SESSION)},
    ),
    Route(
        "/2/access/sign-in",
        {"GET": asks(_sign_in_ways, access=AccessLevel.PUBLIC, result=SignInRow)},
    ),
    Route(
        "/2/access/openid",
        {
            "GET": asks(
                _listing("openid", "The OpenID provider, for administrators: none, or one."),
                access=AccessLevel.LOGIN,
                result=list[OpenIdRow],
            ),
            "PUT": submits(SetOpenId, access=AccessLevel.ADMIN),
            "DELETE": submits(RemoveOpenId, access=AccessLevel.ADMIN),
        },
    ),
    Route(
        "/2/access/openid/login",
        {
            "GET": asks(
                _openid_begin,
                access=AccessLevel.PUBLIC,
                result=None,
                errors=_NO_PROVIDER,
                error_page=_NOT_SIGNED_IN,
            )
        },
    ),
    Route(
        "/2/access/openid/callback",
        {
            "GET": asks(
                _openid_finish,
                parameters=_SAID,
                access=AccessLevel.PUBLIC,
                result=None,
                errors=_NO_PROVIDER,
                error_page=_NOT_SIGNED_IN,
            )
        },
    ),
    Route(
        "/2/history",
        {
            "GET": asks(
                _history,
                parameters=_FILTERS,
                access=AccessLevel.LOGIN,
                result=list[HistoryRow],
                unlimited=True,
            )
        },
    ),
    Route("/2/access/self", {"GET": asks(_who, access=AccessLevel.LOGIN, result=CallerRow)}),
)
