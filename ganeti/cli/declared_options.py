# SPDX-License-Identifier: BSD-2-Clause
"""From the declaration of a request to the options of its command, and back to a request.

What a field is called follows from its name and type; ``ESTABLISHED`` has the flags that
administrators know by another name or letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import inspect

from ganeti.cli.options import (
    BOOL,
    FLOAT,
    IDENTKEYVAL,
    INFERRED,
    INT,
    JSON,
    KEYVAL,
    LIST,
    PRIVATE,
    TEXT,
    UNIT,
    Option,
    OptionType,
    choice,
)
from ganeti.errors import Invalid, Problem
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import OPCODES
from ganeti.schema.parameters import Parameter, parameters
from ganeti.schema.reading import read

if TYPE_CHECKING:
    from ganeti.cli.command import Arguments, Command

_OF_EVERY_JOB = frozenset(Opcode.__struct_fields__)
"""Fields that other options set, the same for all commands."""


def _called(
    *flags: str, kind: OptionType = INFERRED, many: bool = False, metavar: str = ""
) -> Option:
    return Option(flags, "", "", kind, many=many, metavar=metavar)


ESTABLISHED: Mapping[str, Option] = {
    "allow_runtime_changes": Option(("--no-runtime-changes",), "", "", sets=False),
    "beparams": _called("-B", "--backend-parameters", kind=KEYVAL),
    "candidate_pool_size": _called("-C", "--candidate-pool-size", kind=INT),
    "default_iallocator": _called("-I", "--default-iallocator", kind=TEXT, metavar="NAME"),
    "disk_template": _called("-t", "--disk-template"),
    "diskparams": _called("-D", "--disk-parameters", kind=IDENTKEYVAL, many=True),
    "disk_state": _called("--disk-state", kind=IDENTKEYVAL, many=True),
    "drbd_helper": _called("--drbd-usermode-helper", kind=TEXT, metavar="PROGRAM"),
    "enabled_user_shutdown": _called("--user-shutdown", kind=BOOL),
    "force": _called("-f", "--force"),
    "group": _called("-g", "--node-group", kind=TEXT, metavar="GROUP"),
    "group_name": _called("-g", "--node-group", kind=TEXT, metavar="GROUP"),
    "hv_state": _called("--hypervisor-state", kind=IDENTKEYVAL, many=True),
    "hvparams": _called("-H", "--hypervisor-parameters", kind=KEYVAL),
    "iallocator": _called("-I", "--iallocator", kind=TEXT, metavar="NAME"),
    "ignore_offline_nodes": _called("--ignore-offline"),
    "instance_communication": _called("-c", "--communication", kind=BOOL),
    "live": Option(("--non-live",), "", "", sets=False),
    "mac_prefix": _called("-m", "--mac-prefix", kind=TEXT, metavar="PREFIX"),
    "ndparams": _called("--node-parameters", kind=KEYVAL),
    "nicparams": _called("-N", "--nic-parameters", kind=KEYVAL),
    "os_name": _called("-o", "--os-type", kind=TEXT, metavar="OS"),
    "os_type": _called("-o", "--os-type", kind=TEXT, metavar="OS"),
    "osparams": _called("-O", "--os-parameters", kind=KEYVAL),
    "osparams_private": _called("--os-parameters-private", kind=PRIVATE),
    "osparams_secret": _called("--os-parameters-secret", kind=PRIVATE),
    "powered": _called("--node-powered", kind=BOOL),
    "reboot_type": _called("-t", "--type"),
    "runtime_mem": _called("-m", "--runtime-memory", kind=UNIT),
    "secondary_ip": _called("-s", "--secondary-ip", kind=TEXT, metavar="ADDRESS"),
    "startup_paused": _called("--paused"),
    "target_groups": _called("--to", kind=TEXT, many=True, metavar="GROUP"),
    "target_node": _called("-n", "--target-node", kind=TEXT, metavar="NODE"),
    "verify_clutter": _called("--verify-ssh-clutter"),
}


NEGATED: Mapping[str, str] = {
    "allow_runtime_changes": "Do not reduce the guest's memory to fit the target node.",
    "conflicts_check": "Accept addresses that belong to another network or instance.",
    "ip_check": "Do not check that nothing answers at the name's address.",
    "live": "Suspend the guest while its memory moves, as --migration-mode=non-live does.",
    "name_check": "Do not check that the name resolves.",
    "start": "Do not start the instance when it is made.",
    "wait_for_sync": "Do not wait until the disks are in sync.",
}
"""What the flags do that turn a parameter off, whose own text says what it is if it is on."""


def told(op_id: str) -> str:
    """What a request does, in a sentence."""
    return (OPCODES[op_id].__doc__ or "").split("\n\n")[0].replace("\n    ", " ")


def options_of(command: Command) -> list[Option]:
    """The options that stand for fields of the command's request."""
    taken = {words.name for words in command.words} | {option.name for option in command.options}
    taken |= {command.many, *command.without}
    own = {option.name: option for option in command.flags}
    found = []
    for each in parameters(OPCODES[command.opcode]):
        if each.name in own:
            found.append(_named(own[each.name], each))
        elif each.name not in taken and not _internal(each.name):
            found.append(_named(ESTABLISHED.get(each.name) or _derived(each), each))
    return found


def opcode_of(arguments: Arguments) -> Opcode:
    """The request that was asked for.

    :raises Invalid: with every problem, each under the flag or word that it is about.
    """
    command = arguments.command
    kind = OPCODES[command.opcode]
    document = dict(command.preset)
    for name in kind.__struct_fields__:
        if name in arguments and name not in _OF_EVERY_JOB:
            document[name] = _joined(arguments[name])
    if command.given is not None:
        document.update(command.given(arguments))
    try:
        return read(kind, document)
    except Invalid as e:
        flags = {option.name: option.flags[-1] for option in options_of(command)}
        raise Invalid([_placed(problem, flags) for problem in e.problems]) from None


def _placed(problem: Problem, flags: Mapping[str, str]) -> Problem:
    field = problem.path.split(".")[0].split("[")[0]
    return Problem(flags.get(field, field) + problem.path[len(field) :], problem.message)


def _joined(value: Any) -> Any:
    """Groups of values that were given one by one, as one object."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    return value


def _internal(name: str) -> bool:
    return name in _OF_EVERY_JOB or name == "use_locking" or name.endswith(("_uuid", "_uuids"))


def _named(option: Option, parameter: Parameter) -> Option:
    return Option(
        option.flags,
        parameter.name,
        option.doc or _doc(option, parameter),
        _kind(parameter, option.many) if option.kind is INFERRED else option.kind,
        sets=option.sets,
        many=option.many,
        metavar=option.metavar,
    )


def _doc(option: Option, parameter: Parameter) -> str:
    return NEGATED[parameter.name] if option.sets is False else parameter.doc


def _derived(parameter: Parameter) -> Option:
    flag = parameter.name.replace("_", "-")
    if parameter.default is True and isinstance(_bare(parameter), inspect.BoolType):
        return Option((f"--no-{flag}",), "", "", sets=False)
    return _called(f"--{flag}")


def _bare(parameter: Parameter) -> inspect.Type:
    """The type of a parameter that is not null; the first of several."""
    if not isinstance(parameter.type, inspect.UnionType):
        return parameter.type
    kinds = [kind for kind in parameter.type.types if not isinstance(kind, inspect.NoneType)]
    kind = kinds[0]
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _kind(parameter: Parameter, many: bool) -> OptionType | None:
    bare = _bare(parameter)
    if many and isinstance(bare, inspect.VarTupleType):
        bare = bare.item_type
    if isinstance(bare, inspect.BoolType):
        return BOOL if parameter.default is None and not parameter.required else None
    if isinstance(bare, inspect.EnumType):
        return choice([str(member.value) for member in bare.cls])
    if isinstance(bare, inspect.LiteralType):
        return choice([str(value) for value in bare.values])
    return _KINDS.get(type(bare), JSON)


_KINDS: Mapping[type, OptionType] = {
    inspect.IntType: INT,
    inspect.FloatType: FLOAT,
    inspect.StrType: TEXT,
    inspect.VarTupleType: LIST,
    inspect.DictType: KEYVAL,
}
