# SPDX-License-Identifier: BSD-2-Clause
"""Options derived from the fields of an opcode, and the opcode built from their values.

The flag of a field follows from its name and type; ``FLAG_OVERRIDES`` has the flags that
administrators know by another name or letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

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

_JOB_FIELDS = frozenset(Opcode.__struct_fields__)
"""Fields that are set by the options of all jobs, or internally."""


def _flags(
    *flags: str, kind: OptionType = INFERRED, many: bool = False, metavar: str = ""
) -> Option:
    return Option(flags, "", "", kind, many=many, metavar=metavar)


FLAG_OVERRIDES: Mapping[str, Option] = {
    "allow_runtime_changes": Option(("--no-runtime-changes",), "", "", sets=False),
    "beparams": _flags("-B", "--backend-parameters", kind=KEYVAL.with_keys("backend")),
    "candidate_pool_size": _flags("-C", "--candidate-pool-size", kind=INT),
    "default_iallocator": _flags("-I", "--default-iallocator", kind=TEXT, metavar="NAME"),
    "disk_template": _flags("-t", "--disk-template"),
    "diskparams": _flags("-D", "--disk-parameters", kind=IDENTKEYVAL.with_keys("disk"), many=True),
    "disk_state": _flags("--disk-state", kind=IDENTKEYVAL.with_keys("disk-state"), many=True),
    "drbd_helper": _flags("--drbd-usermode-helper", kind=TEXT, metavar="PROGRAM"),
    "enabled_user_shutdown": _flags("--user-shutdown", kind=BOOL),
    "etcd_ca": _flags("--etcd-ca", metavar="FILE"),
    "etcd_certificate": _flags("--etcd-certificate", metavar="FILE"),
    "file_storage_dir": _flags("--file-storage-dir", metavar="DIR"),
    "force": _flags("-f", "--force"),
    "gluster_storage_dir": _flags("--gluster-storage-dir", metavar="DIR"),
    "group": _flags("-g", "--node-group", kind=TEXT, metavar="GROUP"),
    "group_name": _flags("-g", "--node-group", kind=TEXT, metavar="GROUP"),
    "hv_state": _flags(
        "--hypervisor-state", kind=IDENTKEYVAL.with_keys("hypervisor-state"), many=True
    ),
    "hvparams": _flags("-H", "--hypervisor-parameters", kind=KEYVAL.with_keys("hypervisor")),
    "iallocator": _flags("-I", "--iallocator", kind=TEXT, metavar="NAME"),
    "ignore_offline_nodes": _flags("--ignore-offline"),
    "instance_communication": _flags("-c", "--communication", kind=BOOL),
    "instance_communication_network": _flags("--instance-communication-network", metavar="NETWORK"),
    "live": Option(("--non-live",), "", "", sets=False),
    "mac_prefix": _flags("-m", "--mac-prefix", kind=TEXT, metavar="PREFIX"),
    "ndparams": _flags("--node-parameters", kind=KEYVAL.with_keys("node")),
    "nicparams": _flags("-N", "--nic-parameters", kind=KEYVAL.with_keys("nic")),
    "os_name": _flags("-o", "--os-type", kind=TEXT, metavar="OS[+VARIANT]"),
    "os_type": _flags("-o", "--os-type", kind=TEXT, metavar="OS[+VARIANT]"),
    "osparams": _flags("-O", "--os-parameters", kind=KEYVAL),
    "osparams_private": _flags("--os-parameters-private", kind=PRIVATE),
    "osparams_secret": _flags("--os-parameters-secret", kind=PRIVATE),
    "powered": _flags("--node-powered", kind=BOOL),
    "reboot_type": _flags("-t", "--type"),
    "runtime_mem": _flags("-m", "--runtime-memory", kind=UNIT),
    "secondary_ip": _flags("-s", "--secondary-ip", kind=TEXT, metavar="ADDRESS"),
    "shared_file_storage_dir": _flags("--shared-file-storage-dir", metavar="DIR"),
    "startup_paused": _flags("--paused"),
    "target_groups": _flags("--to", kind=TEXT, many=True, metavar="GROUP"),
    "target_node": _flags("-n", "--target-node", kind=TEXT, metavar="NODE"),
    "verify_clutter": _flags("--verify-ssh-clutter"),
}


NEGATED: Mapping[str, str] = {
    "allow_runtime_changes": "Do not reduce the guest's memory to fit the target node.",
    "conflicts_check": "Do not check that addresses are unused by other networks and instances.",
    "ip_check": "Do not check that nothing answers at the address of the name.",
    "live": "Pause the guest during the migration; the older form of --migration-mode non-live.",
    "name_check": "Do not check that the name resolves.",
    "start": "Do not start the new instance.",
    "wait_for_sync": "Do not wait until the disks are in sync.",
}
"""Help texts of options that set a field to false: the text of the field says what true does."""


def told(op_id: str) -> str:
    """Return what an opcode does, in one sentence."""
    return (OPCODES[op_id].__doc__ or "").split("\n\n")[0].replace("\n    ", " ")


def derive_options(command: Command) -> list[Option]:
    """Return the options for the fields of the command's opcode."""
    taken = {words.name for words in command.words} | {option.name for option in command.options}
    taken |= {command.many, *command.without}
    own = {option.name: option for option in command.flags}
    found = []
    for each in parameters(OPCODES[command.opcode]):
        if each.name in own:
            found.append(_complete_option(own[each.name], each))
        elif each.name not in taken and not _is_internal(each.name):
            found.append(
                _complete_option(FLAG_OVERRIDES.get(each.name) or _derive_option(each), each)
            )
    return found


def build_opcode(arguments: Arguments) -> Opcode:
    """Build the opcode of a command from its arguments.

    :raises Invalid: with every problem, each under the flag or argument that has it.
    """
    command = arguments.command
    kind = OPCODES[command.opcode]
    document = dict(command.preset)
    for name in kind.__struct_fields__:
        if name in arguments and name not in _JOB_FIELDS:
            document[name] = _merge_pairs(arguments[name])
    if command.given is not None:
        document.update(command.given(arguments))
    try:
        return read(kind, document)
    except Invalid as e:
        flags = {option.name: option.flags[-1] for option in derive_options(command)}
        raise Invalid([_relabel_problem(problem, flags) for problem in e.problems]) from None


def _relabel_problem(problem: Problem, flags: Mapping[str, str]) -> Problem:
    field = problem.path.split(".")[0].split("[")[0]
    return Problem(flags.get(field, field) + problem.path[len(field) :], problem.message)


def _merge_pairs(value: object) -> object:
    """Merge ``(name, value)`` pairs, given one by one, into one object."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    return value


def _is_internal(name: str) -> bool:
    return name in _JOB_FIELDS or name == "use_locking" or name.endswith(("_uuid", "_uuids"))


def _complete_option(option: Option, parameter: Parameter) -> Option:
    return Option(
        option.flags,
        parameter.name,
        option.doc or _describe_option(option, parameter),
        _option_type(parameter, option.many) if option.kind is INFERRED else option.kind,
        sets=option.sets,
        many=option.many,
        metavar=option.metavar,
    )


def _describe_option(option: Option, parameter: Parameter) -> str:
    return NEGATED[parameter.name] if option.sets is False else parameter.doc


def _derive_option(parameter: Parameter) -> Option:
    flag = parameter.name.replace("_", "-")
    if parameter.default is True and isinstance(_unwrap_optional(parameter), inspect.BoolType):
        return Option((f"--no-{flag}",), "", "", sets=False)
    return _flags(f"--{flag}")


def _unwrap_optional(parameter: Parameter) -> inspect.Type:
    """Return the type of a parameter without null; the first one of a union."""
    if not isinstance(parameter.type, inspect.UnionType):
        return parameter.type
    kinds = [kind for kind in parameter.type.types if not isinstance(kind, inspect.NoneType)]
    kind = kinds[0]
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _option_type(parameter: Parameter, many: bool) -> OptionType | None:
    bare = _unwrap_optional(parameter)
    if many and isinstance(bare, inspect.VarTupleType):
        bare = bare.item_type
    if isinstance(bare, inspect.BoolType):
        return BOOL if parameter.default is None and not parameter.required else None
    if isinstance(bare, inspect.EnumType):
        return choice([str(member.value) for member in bare.cls])
    if isinstance(bare, inspect.LiteralType):
        return choice([str(value) for value in bare.values])
    if isinstance(bare, inspect.VarTupleType) and isinstance(bare.item_type, inspect.EnumType):
        return LIST.with_items(str(member.value) for member in bare.item_type.cls)
    return _KINDS.get(type(bare), JSON)


_KINDS: Mapping[type, OptionType] = {
    inspect.IntType: INT,
    inspect.FloatType: FLOAT,
    inspect.StrType: TEXT,
    inspect.VarTupleType: LIST,
    inspect.DictType: KEYVAL,
}
