# SPDX-License-Identifier: BSD-2-Clause
"""Tags, which the cluster and four kinds of objects have."""

from __future__ import annotations

from ganeti.errors import Invalid
from ganeti.luxi.methods import QueryTags
from ganeti.opcodes.tags import AddTags, RemoveTags
from ganeti.rapi.request_arguments import LOCK, ArgumentType, QueryParameter
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import ApiCall, Document, asks, submits

TAG = QueryParameter("tag", ArgumentType.MANY, "A tag; may be repeated.", "tags")


def _parse_tags(body: object) -> Document:
    """Return the tags in a body, which is a list."""
    if body is None or body == {}:
        return {}
    if not isinstance(body, list):
        raise Invalid("the body must be a list of tags")
    return {"tags": body}


def tags_route(kind: str, owner: str, variable: str | None) -> Route:
    """Return the route for the tags of the object at ``owner``; ``variable`` of the path is its
    name."""

    async def answer(call: ApiCall, _: object, __: object) -> object:
        """Return the tags, sorted."""
        name = call.path[variable] if variable else ""
        return await call.master.ask_raw(QueryTags(kind=kind, name=name))

    fixed = {"kind": kind, "name": f"{{{variable}}}" if variable else None}
    return Route(
        f"{owner}/tags",
        {
            "GET": asks(answer, parameters=(LOCK,), result=list[str]),
            "PUT": submits(AddTags, query=(TAG,), fixed=fixed, body=_parse_tags),
            "DELETE": submits(RemoveTags, query=(TAG,), fixed=fixed, body=_parse_tags),
        },
    )
