# SPDX-License-Identifier: BSD-2-Clause
"""The commands for tags, common to all kinds of objects."""

from __future__ import annotations

from functools import partial

from ganeti.cli.command import Arguments, Command, Positional
from ganeti.cli.listing import FORM
from ganeti.cli.options import TEXT, Option
from ganeti.cli.session import FAILURE, ExitTool, Session

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
            run=partial(_list_tags, kind),
        ),
        Command(
            name="add-tags",
            doc=f"Add tags to the tags {about}.",
            words=(*owner, tags),
            options=(FROM,),
            submits=True,
            run=partial(_change_tags, kind, True),
        ),
        Command(
            name="remove-tags",
            doc=f"Remove tags from the tags {about}.",
            words=(*owner, tags),
            options=(FROM,),
            submits=True,
            run=partial(_change_tags, kind, False),
        ),
    )


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _list_tags(kind: str, session: Session, arguments: Arguments) -> int:
    from ganeti.luxi.methods import QueryTags

    tags = sorted(session.ask(QueryTags(kind=kind, name=arguments.get("name", ""))))
    if arguments.get("output"):
        from ganeti.cli.output import as_json

        session.say(as_json(tags))
        return 0
    for tag in tags:
        session.say(tag)
    return 0


def _change_tags(kind: str, adds: bool, session: Session, arguments: Arguments) -> int:
    from ganeti.cli.job_polling import carry_out
    from ganeti.opcodes.tags import AddTags, RemoveTags, TagKind

    tags = (*arguments.get("tags", ()), *_read_tags(arguments.get("source")))
    if not tags:
        raise ExitTool(FAILURE, "no tags given; name tags, or a file of tags with --from")
    opcode = AddTags if adds else RemoveTags
    name = arguments.get("name")
    return carry_out(session, arguments, opcode(kind=TagKind(kind), name=name, tags=tags))


def _read_tags(path: str | None) -> list[str]:
    from ganeti.cli.input_files import read_lines

    lines = read_lines(path) if path is not None else []
    return [line.strip() for line in lines if line.strip()]


def search(session: Session, arguments: Arguments) -> int:
    """Find tags in the whole cluster that match a pattern."""
    from ganeti.cli.job_polling import results_of
    from ganeti.cli.output import as_json
    from ganeti.opcodes.tags import SearchTags

    pattern = arguments["pattern"]
    results = results_of(session, arguments, SearchTags(pattern=pattern))
    found = sorted(map(tuple, results[0])) if results else []
    if arguments.get("output"):
        session.say(as_json(found))
    else:
        for path, tag in found:
            session.say(f"{path} {tag}")
    if not found:
        raise ExitTool(FAILURE, f"no object of the cluster has a tag that matches {pattern}")
    return 0
