# SPDX-License-Identifier: BSD-2-Clause
"""What is refused by name because nothing does it, as ``doc/differences.md`` lists it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ganeti.model.disk import SUPPORTED, Template
from ganeti.model.parameters.declaration import ParameterSet
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.unsupported import UNSUPPORTED
from ganeti.opcodes.cluster import NEVER_FOUND
from ganeti.opcodes.opcode import op_id
from ganeti.operations.registry import OPERATIONS
from ganeti.operations.unsupported import INSTEAD
from ganeti.schema.parameters import parameters

HEAD = """\
## What is refused because nothing does it

Ganeti has the following, and this version does not. It is refused by its name, whatever way it
comes in, so that nobody believes that it had an effect. What is off, empty or at its default is
accepted, and a cluster that was taken over from Ganeti keeps the settings that it has.
"""

NO_EFFECT: Mapping[str, str] = {
    "`max_tracked_jobs` of `OP_CLUSTER_SET_PARAMS`": "Every job is watched.",
    "`use_locking` of questions": "Questions never take locks.",
    "`shutdown_timeout` of `OP_INSTANCE_STARTUP`": (
        "It is for guests that were stopped from inside, which are started again here."
    ),
    "`verbose` and `debug` of `OP_CLUSTER_RENEW_CRYPTO`": "The job's log has everything anyway.",
    "`master_netdev` and `master_netmask`": (
        "They are for scripts of the master's host, which find them in ssconf."
    ),
}
"""What is accepted although nothing here acts by it, as clients send it always."""


NEVER = """\

`gnt-cluster verify` has the error codes of Ganeti. These can be given in `--ignore-errors`, but are
never reported:
"""


MODIFY = """\

`OP_INSTANCE_SET_PARAMS` does not convert disks (`disk_template`), change a running guest
(`hotplug`, `runtime_mem`), record another primary node (`pnode`), or attach and detach disks; each
refusal says what to do instead.
"""


def section() -> Iterator[str]:
    """The lines of the section."""
    yield HEAD
    yield from ("| request | parameter | what to do instead |", "|---|---|---|")
    for kind, instead in INSTEAD.items():
        yield f"| `{op_id(kind)}` | all of it | {_sentence(instead)} |"
    for kind in sorted(OPERATIONS, key=op_id):
        by_reason: dict[str, list[str]] = {}
        for each in parameters(kind):
            if "instead" in each.extra:
                by_reason.setdefault(str(each.extra["instead"]), []).append(f"`{each.name}`")
        for instead, names in by_reason.items():
            yield f"| `{op_id(kind)}` | {', '.join(names)} | {_sentence(instead)} |"
    yield MODIFY
    yield from ("| setting of the cluster | what to do instead |", "|---|---|")
    for name, (_, instead) in UNSUPPORTED.items():
        yield f"| `{name}` | {_sentence(instead)} |"
    yield from ("", "| parameters | of |", "|---|---|")
    kinds: dict[str, type[ParameterSet]] = {**HYPERVISORS, "nodes": NodeParameters}
    kinds |= {f"{template} disks": DISKS[template] for template in Template}
    for whose, parameter_set in kinds.items():
        names = [
            f"`{each.name}`"
            for each in parameters(parameter_set)
            if not each.extra.get("supported", True)
        ]
        if names:
            yield f"| {', '.join(names)} | {whose} |"
    others = ", ".join(f"`{each}`" for each in sorted(set(Template) - SUPPORTED))
    yield f"\nDisks of the templates {others} cannot be made.\n"
    yield "Accepted without effect, as clients send it always:\n"
    yield from (f"* {what}: {why}" for what, why in NO_EFFECT.items())
    yield NEVER
    yield from ("| finding | why it does not occur |", "|---|---|")
    yield from (f"| `{code}` | {_sentence(why)} |" for code, why in NEVER_FOUND.items())
    yield ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
