# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for tests."""

from __future__ import annotations

import enum
from typing import Annotated

from ganeti.model.disk import Template
from ganeti.opcodes import fields
from ganeti.opcodes.choices import EvacuationMode, Hypervisor
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Count, JsonValue, Lines, Number, Text, Value


class Delay(Opcode, tag="OP_TEST_DELAY"):
    """Wait, on the master or on nodes."""

    summary_field = "duration"

    duration: Annotated[Number, doc("Duration in seconds; negative values are refused.")]
    on_master: Annotated[bool, doc("Wait on the master.")] = True
    on_nodes: Annotated[tuple[Text, ...], doc("Wait on these nodes.")] = ()
    on_node_uuids: fields.NodeUUIDs = None
    repeat: Annotated[Count, doc("Number of repetitions; 0 means one run without counting.")] = 0
    interruptible: Annotated[
        bool,
        unsupported("Let a message on a socket end the wait.", "cancel the job"),
    ] = False
    no_locks: Annotated[bool, doc("Acquire no locks on the nodes.")] = True


class AllocatorDirection(enum.StrEnum):
    """Whether to show an allocator's input, or its output."""

    IN = "in"
    OUT = "out"


class AllocatorMode(enum.StrEnum):
    """The type of an iallocator request."""

    ALLOCATE = "allocate"
    ALLOCATE_SECONDARY = "allocate-secondary"
    CHANGE_GROUP = "change-group"
    MULTI_ALLOCATE = "multi-allocate"
    NODE_EVACUATE = "node-evacuate"
    RELOCATE = "relocate"


class TestAllocator(Opcode, tag="OP_TEST_ALLOCATOR"):
    """Show the input of an iallocator, or run it and show its output."""

    summary_field = "iallocator"

    direction: Annotated[AllocatorDirection, doc("in: show the input; out: run the iallocator.")]
    mode: Annotated[AllocatorMode, doc("Type of the request.")]
    name: Annotated[Text, doc("Name of the instance.")]
    nics: Annotated[tuple[fields.NicParams, ...] | None, doc("Network cards.")] = None
    disks: Annotated[tuple[Value, ...] | None, doc("Disks of the instance.")] = None
    hypervisor: Annotated[Hypervisor | None, doc("Hypervisor of the instance.")] = None
    iallocator: fields.Iallocator = None
    tags: Annotated[tuple[Text, ...], doc("Tags of the instance.")] = ()
    memory: Annotated[Count | None, doc("Memory in MiB.")] = None
    vcpus: Annotated[Count | None, doc("Number of virtual processors.")] = None
    os: Annotated[Text | None, doc("OS definition.")] = None
    disk_template: Annotated[Template | None, doc("Disk template.")] = None
    instances: Annotated[tuple[Text, ...] | None, doc("Instances to move.")] = None
    evac_mode: Annotated[EvacuationMode | None, doc("Instances to evacuate from a node.")] = None
    target_groups: fields.TargetGroups = None
    spindle_use: Annotated[Count, doc("Number of disk spindles in use.")] = 1
    count: Annotated[Count, doc("Number of such instances to place.")] = 1
    group_name: fields.OnlyGroup = None


class TestQueue(Opcode, tag="OP_TEST_JQUEUE"):
    """Run through the states of a job and notify a test."""

    notify_waitlock: Annotated[bool, doc("Notify the test when waiting for locks.")] = False
    notify_exec: Annotated[bool, doc("Notify the test when running.")] = False
    log_messages: Annotated[tuple[Lines, ...], doc("Messages for the job's log.")] = ()
    fail: Annotated[bool, doc("Fail at the end.")] = False


class TestDummy(Opcode, tag="OP_TEST_DUMMY"):
    """Return the given result; only for tests."""

    result: Annotated[JsonValue, doc("Result to return.")] = None
    messages: Annotated[JsonValue, doc("Messages for the job's log.")] = None
    fail: Annotated[JsonValue, doc("Error to fail with.")] = None
    submit_jobs: Annotated[JsonValue, doc("Jobs to submit.")] = None


class TestOSParameters(Opcode, tag="OP_TEST_OS_PARAMS"):
    """Accept secret OS parameters and do nothing with them."""

    osparams_secret: fields.SecretParams = None
