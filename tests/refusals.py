# SPDX-License-Identifier: BSD-2-Clause
"""Requests that are rejected because nothing implements them, as ``doc/differences.md`` lists
them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ganeti.model.disk import SUPPORTED_TEMPLATES, Template
from ganeti.model.parameters.declaration import ParameterSet
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.unsupported import UNSUPPORTED
from ganeti.opcodes.cluster import NEVER_FOUND
from ganeti.opcodes.opcode import op_id
from ganeti.operations.registry import OPERATIONS
from ganeti.operations.unsupported import ALTERNATIVES
from ganeti.schema.parameters import parameters

HEAD = """\
## Rejected because it is not implemented

Ganeti supports the following, and this version does not. The tools, the remote API and the master's
socket reject it by name, so that clients do not assume that it had an effect. Values that are off,
empty or the default are accepted, and a cluster that was upgraded from Ganeti keeps its settings.
"""

NO_EFFECT: Mapping[str, str] = {
    "`max_tracked_jobs` of `OP_CLUSTER_SET_PARAMS`": "All jobs are tracked.",
    "`use_locking` of queries": "Queries never lock.",
    "`shutdown_timeout` of `OP_INSTANCE_STARTUP`": (
        "It applies to guests that are shut down from inside, which are started again here."
    ),
    "`verbose` and `debug` of `OP_CLUSTER_RENEW_CRYPTO`": "The job's log always has all details.",
}
"""What is accepted without effect, as clients always send it."""


NEVER = """\

`gnt-cluster verify` has the error codes of Ganeti. The following are accepted by `--ignore-errors`,
but never reported:
"""


MODIFY = """\

`OP_INSTANCE_SET_PARAMS` does not set another primary node (`pnode`), or attach and detach disks;
each error message says what to do instead. It converts disks (`disk_template`) by a request of
their own.
"""


def section() -> Iterator[str]:
    """Yield the lines of the section."""
    yield HEAD
    yield from ("| request | parameter | what to do instead |", "|---|---|---|")
    for kind, instead in ALTERNATIVES.items():
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
    others = ", ".join(f"`{each}`" for each in sorted(set(Template) - SUPPORTED_TEMPLATES))
    yield f"\nDisks of the templates {others} are not supported.\n"
    yield "Accepted without effect, as clients always send it:\n"
    yield from (f"* {what}: {why}" for what, why in NO_EFFECT.items())
    yield NEVER
    yield from ("| finding | why it does not occur |", "|---|---|")
    yield from (f"| `{code}` | {_sentence(why)} |" for code, why in NEVER_FOUND.items())
    yield ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
