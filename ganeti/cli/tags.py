# SPDX-License-Identifier: BSD-2-Clause
"""The commands for tags, common to all kinds of objects."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ganeti.cli.command import Command, Positional
from ganeti.cli.lazy import LazyModule
from ganeti.cli.listing import FORM
from ganeti.cli.options import TEXT, Option

if TYPE_CHECKING:
    from ganeti.cli import tag_actions
else:
    tag_actions = LazyModule("ganeti.cli.tag_actions")

FROM = Option(
    ("--from",),
    "source",
    "Also read tags from this file, one per line; - is the standard input.",
    TEXT,
    metavar="FILE",
)


def tag_commands(kind: str, word: str = "") -> tuple[Command, ...]:
    """Return the tag commands for objects of a ``kind``; ``word`` is its name in usage lines."""
    owner = (Positional("name", word),) if word else ()
    tags = Positional("tags", "tag", 0, None)
    about = f"of the {kind}" if not word else f"of {_with_article(word)}"
    return (
        Command(
            name="list-tags",
            doc=f"List the tags {about}.",
            words=owner,
            options=(FORM,),
            run=partial(tag_actions.list_tags, kind),
        ),
        Command(
            name="add-tags",
            doc=f"Add tags to the tags {about}.",
            words=(*owner, tags),
            options=(FROM,),
            submits=True,
            run=partial(tag_actions.change_tags, kind, True),
        ),
        Command(
            name="remove-tags",
            doc=f"Remove tags from the tags {about}.",
            words=(*owner, Positional("tags", "tag", 0, None, owner="name")),
            options=(FROM,),
            submits=True,
            run=partial(tag_actions.change_tags, kind, False),
        ),
    )


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
