# SPDX-License-Identifier: BSD-2-Clause
"""Tags, which the cluster and four kinds of object have in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganeti.errors import Invalid
from ganeti.luxi.methods import QueryTags
from ganeti.opcodes.tags import AddTags, RemoveTags
from ganeti.rapi.arguments import LOCK, ArgumentType, QueryParameter
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import ApiCall, Document, asks, submits

TAG = QueryParameter("tag", ArgumentType.MANY, "A tag; repeat it for several.", "tags")


def _tags(body: Any) -> Document:
    """Tags in a body: a list of them."""
    if body is None or body == {}:
        return {}
    if not isinstance(body, list):
        raise Invalid("the body must be a list of tags")
    return {"tags": body}


def tags_of(kind: str, owner: str, variable: str | None) -> Route:
    """The tags of the object at the path ``owner``, named by ``variable`` of the path."""

    async def answer(call: ApiCall, _: Mapping[str, Any], __: Any) -> Any:
        """The tags, sorted."""
        name = call.path[variable] if variable else ""
        return await call.master.ask_raw(QueryTags(kind=kind, name=name))

    fixed = {"kind": kind, "name": f"{{{variable}}}" if variable else None}
    return Route(
        f"{owner}/tags",
        {
            "GET": asks(answer, parameters=(LOCK,), result=list[str]),
            "PUT": submits(AddTags, query=(TAG,), fixed=fixed, body=_tags),
            "DELETE": submits(RemoveTags, query=(TAG,), fixed=fixed, body=_tags),
        },
    )
