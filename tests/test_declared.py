# SPDX-License-Identifier: BSD-2-Clause
"""Whatever is declared is done, or refused by its name: it is read, and nodes are asked for it.

A parameter that nobody reads is either a fault, or declared as ``unsupported`` with what to do
instead, or it is in one of the short lists below, with its reason.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import ganeti.rpc
from ganeti.model.cluster import Cluster
from ganeti.model.disk import SUPPORTED_TEMPLATES, Template
from ganeti.model.named import TaggedObject
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import ParameterSet
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.policy import Policy
from ganeti.model.unsupported import UNSUPPORTED
from ganeti.node.verification import CHECKS
from ganeti.opcodes.cluster import (
    NEVER_FOUND,
    FindingCode,
    UpgradeCluster,
    VerifyConfig,
    VerifyGroup,
)
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import OPCODES, find_unsupported_parameters
from ganeti.operations import perform
from ganeti.operations.cluster import verify
from ganeti.operations.cluster.rolling_upgrade import cluster_questions
from ganeti.operations.instance.device_specs import DiskSpec, NicSpec
from ganeti.operations.instance.disks.disk_layout import LAYOUTS
from ganeti.operations.registry import OPERATIONS
from ganeti.operations.unsupported import ALTERNATIVES
from ganeti.rpc.call import Call
from ganeti.rpc.node import VerifyNode
from ganeti.schema.parameters import parameters
from ganeti.testing.builders import a_cluster, a_network, a_nic, an_instance, uuid_of
from tests.readers import modules, names_called, names_read, parameters_read

EXCEPTIONS: Mapping[str, str] = {
    "OP_CLUSTER_RENEW_CRYPTO.debug": "the job's log has everything anyway",
    "OP_CLUSTER_RENEW_CRYPTO.verbose": "the job's log has everything anyway",
    "OP_INSTANCE_QUERY_DATA.use_locking": "questions take no locks; see doc/differences.md",
    "OP_INSTANCE_STARTUP.shutdown_timeout": "for guests that were stopped from inside, in Ganeti",
    "OP_NETWORK_REMOVE.force": "the question of the tool, which is asked before",
    "OP_QUERY.use_locking": "questions take no locks; see doc/differences.md",
    "OP_TAGS_GET.use_locking": "questions take no locks; see doc/differences.md",
}
"""Parameters of opcodes that no operation reads, and why they are accepted."""

FOR_TESTS = {"OP_TEST_DUMMY", "OP_TEST_JQUEUE", "OP_TEST_OS_PARAMS"}
"""Opcodes that are carried out by nothing, and refused for that."""

KEPT: Mapping[str, str] = {
    "dsahostkeypub": "cannot be set",
    "hidden_os": "is about lists, see views/oses.py",
    "master_netdev": "for scripts of the master's host, which read ssconf",
    "master_netmask": "for scripts of the master's host, which read ssconf",
    "max_tracked_jobs": "every job is watched; it is a bound of Ganeti's own",
    "modify_ssh_setup": "cannot be set",
    "primary_ip_family": "cannot be set; for scripts, which read ssconf",
    "rsahostkeypub": "cannot be set",
    "ssh_key_bits": "cannot be set",
    "ssh_key_type": "cannot be set",
}
"""Fields of the cluster's record that nothing acts by, and why."""

TOLD: Mapping[str, str] = {
    "cpu_speed": "to allocators, with all parameters of a node",
    "ssh_port": "to scripts, which read ssconf",
}
"""Parameters that nothing here acts by, and whom they are for."""

SHOWING = ("cli/", "opcodes/", "testing/", "views/", "rapi/")
STORING = (
    *("model/cluster.py", "model/unsupported.py", "master/cluster_info.py"),
    *("config/formats.py", "config/initial_state.py", "config/ssconf.py", "config/upgrade.py"),
    "operations/cluster/settings.py",
)


class OpcodeTests(SynchronousTestCase):
    def unread(self) -> Iterator[str]:
        shared = {*Opcode.__struct_fields__, *_read_by_the_performer()}
        for kind, operation in OPERATIONS.items():
            if kind in ALTERNATIVES:
                continue  # is refused as a whole
            read = parameters_read(operation)
            for each in parameters(kind):
                if each.name not in shared | read and "instead" not in each.extra:
                    yield f"{kind.__struct_config__.tag}.{each.name}"

    def test_every_parameter_is_read_by_its_operation(self) -> None:
        self.assertEqual(set(self.unread()) - EXCEPTIONS.keys(), set())

    def test_the_exceptions_are_needed(self) -> None:
        self.assertEqual(EXCEPTIONS.keys() - set(self.unread()), set())

    def test_every_opcode_is_carried_out(self) -> None:
        done = {str(kind.__struct_config__.tag) for kind in OPERATIONS}
        self.assertEqual(set(OPCODES) - done, FOR_TESTS)

    def test_what_is_not_supported_is_refused_unless_it_is_off(self) -> None:
        for kind in OPERATIONS:
            for each in parameters(kind):
                if "instead" not in each.extra:
                    continue
                # Types are checked where opcodes are read only; an empty text is an empty list too.
                bare: dict[str, Any] = {
                    other.name: "" for other in parameters(kind) if other.required
                }
                [problem] = find_unsupported_parameters(kind(**{**bare, each.name: "x"}))
                self.assertEqual(problem.path, each.name)
                self.assertIn("is not supported by this version: ", problem.message)
                self.assertEqual(find_unsupported_parameters(kind(**bare)), [])


class SettingTests(SynchronousTestCase):
    def test_every_setting_of_the_cluster_is_acted_by(self) -> None:
        read = names_read(modules((*SHOWING, *STORING)))
        fields = set(Cluster.__struct_fields__) - set(TaggedObject.__struct_fields__)
        unread = fields - UNSUPPORTED.keys() - KEPT.keys() - read
        self.assertEqual(unread, set())

    def test_what_is_not_supported_is_a_setting(self) -> None:
        self.assertEqual(UNSUPPORTED.keys() - set(Cluster.__struct_fields__), set())

    def test_every_parameter_is_acted_by(self) -> None:
        read = names_read(modules((*SHOWING, *STORING, "model/parameters/")))
        kinds: list[type[ParameterSet]] = [Backend, NicParameters, NodeParameters, Policy]
        kinds += [*HYPERVISORS.values(), *(DISKS[template] for template in SUPPORTED_TEMPLATES)]
        unread = {
            f"{kind.__name__}.{each.name}"
            for kind in kinds
            for each in parameters(kind)
            if each.extra.get("supported", True)
            and not {each.name, each.name.replace("-", "_")} & read
            and each.name not in TOLD
        }
        self.assertEqual(unread, set())

    def test_nothing_can_be_set_about_disks_that_are_not_made(self) -> None:
        self.assertEqual({*LAYOUTS, Template.DISKLESS}, SUPPORTED_TEMPLATES)
        for template in set(Template) - SUPPORTED_TEMPLATES:
            settable = [each.name for each in parameters(DISKS[template]) if _settable(each)]
            self.assertEqual(settable, [], template)


def _read_by_the_performer() -> set[str]:
    """Return the parameters that mean the same to every operation that has them."""
    read = names_read([ast.parse(inspect.getsource(perform))])
    return {"opportunistic_locking"} & read


def _settable(parameter: Any) -> bool:
    return bool(parameter.extra.get("supported", True))


class DeviceTests(SynchronousTestCase):
    def test_every_property_of_new_disks_and_cards_is_read(self) -> None:
        read = names_read(modules((*SHOWING, "operations/instance/device_specs.py")))
        for kind in (DiskSpec, NicSpec):
            properties = {each.name for each in dataclasses.fields(kind)}
            self.assertEqual(properties - read, set())


class VerificationTests(SynchronousTestCase):
    def test_every_code_is_found_by_something_or_has_a_reason_why_it_is_never_found(self) -> None:
        found = names_read(modules((*SHOWING, "operations/cluster/findings.py")))
        self.assertEqual(set(FindingCode) - found, set(NEVER_FOUND))

    def test_every_check_of_nodes_is_asked_for(self) -> None:
        cards = (a_nic("n0"), a_nic("n1", network=uuid_of("network", "net1")))
        cluster = a_cluster(
            instances=[an_instance("web1", hypervisor="kvm", nics=cards)],
            networks=[a_network("net1", tags=("dhcp",))],
            enabled_hypervisors=("kvm",),
            enabled_disk_templates=tuple(map(str, Template)),
            file_storage_dir="/srv/file",
            shared_file_storage_dir="/srv/shared",
            ndparams={"oob_program": "/sbin/ipmi"},
        )
        asked = {
            key
            for question in (
                *verify.questions(VerifyGroup(group_name="default"), cluster),
                *verify.config_queries(VerifyConfig(), cluster),
                *cluster_questions(UpgradeCluster(release="3.2.0"), cluster),
            )
            if question is not None and isinstance(question.call, VerifyNode)
            for key in question.call.what
        }
        self.assertEqual(CHECKS.keys() - asked, set())


class CallTests(SynchronousTestCase):
    def calls(self) -> Iterator[type[Call[Any]]]:
        for module in pkgutil.iter_modules(ganeti.rpc.__path__):
            importlib.import_module(f"ganeti.rpc.{module.name}")
        yield from (kind for kind in Call.__subclasses__() if kind.__module__.startswith("ganeti."))

    def test_every_call_to_nodes_is_made(self) -> None:
        made = names_called(modules(("rpc/", "node/", "testing/")))
        between_nodes = {"ExtendGuestLease"}
        self.assertEqual({kind.__name__ for kind in self.calls()} - made, between_nodes)

    def test_every_field_of_a_call_is_read_by_nodes(self) -> None:
        besides = ("operations/", "master/", "bootstrap/", *SHOWING)
        read = names_read(modules(besides))
        unread = {
            f"{kind.__name__}.{field}"
            for kind in self.calls()
            for field in kind.__struct_fields__
            if field not in read
        }
        self.assertEqual(unread, set())
