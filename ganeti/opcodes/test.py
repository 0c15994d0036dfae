# SPDX-License-Identifier: BSD-2-Clause
"""Requests that try out the cluster's own machinery."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from ganeti.model.disk import Template
from ganeti.opcodes import fields
from ganeti.opcodes.choices import EvacuationMode, Hypervisor
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc, unsupported
from ganeti.schema.types import Count, Lines, Number, Text, Value


class Delay(Opcode, tag="OP_TEST_DELAY"):
    """Do nothing for a while, on the master or on nodes."""

    summary_field = "duration"

    duration: Annotated[Number, doc("How long, in seconds; a negative time is refused.")]
    on_master: Annotated[bool, doc("Wait on the master.")] = True
    on_nodes: Annotated[tuple[Text, ...], doc("Wait on these nodes.")] = ()
    on_node_uuids: fields.NodeUUIDs = None
    repeat: Annotated[Count, doc("How many times; 0 means once, without counting.")] = 0
    interruptible: Annotated[
        bool,
        unsupported("Let a message on a socket end the wait.", "cancel the job to end it"),
    ] = False
    no_locks: Annotated[bool, doc("Take no locks on the nodes.")] = True


class AllocatorDirection(enum.StrEnum):
    """Whether an allocator's input is only shown, or the allocator is run with it."""

    IN = "in"
    OUT = "out"


class AllocatorMode(enum.StrEnum):
    """What an allocator is asked for."""

    ALLOCATE = "allocate"
    ALLOCATE_SECONDARY = "allocate-secondary"
    CHANGE_GROUP = "change-group"
    MULTI_ALLOCATE = "multi-allocate"
    NODE_EVACUATE = "node-evacuate"
    RELOCATE = "relocate"


class TestAllocator(Opcode, tag="OP_TEST_ALLOCATOR"):
    """Show what an allocator would be given, or run it and show what it says."""

    summary_field = "iallocator"

    direction: Annotated[AllocatorDirection, doc("Show the input, or run the allocator.")]
    mode: Annotated[AllocatorMode, doc("What the allocator is asked for.")]
    name: Annotated[Text, doc("The name of the instance.")]
    nics: Annotated[tuple[fields.NicParams, ...] | None, doc("Its network cards.")] = None
    disks: Annotated[tuple[Value, ...] | None, doc("Its disks.")] = None
    hypervisor: Annotated[Hypervisor | None, doc("Its hypervisor.")] = None
    iallocator: fields.Iallocator = None
    tags: Annotated[tuple[Text, ...], doc("Its tags.")] = ()
    memory: Annotated[Count | None, doc("Its memory in MiB.")] = None
    vcpus: Annotated[Count | None, doc("Its virtual processors.")] = None
    os: Annotated[Text | None, doc("Its OS definition.")] = None
    disk_template: Annotated[Template | None, doc("What its disks are made of.")] = None
    instances: Annotated[tuple[Text, ...] | None, doc("The instances to move.")] = None
    evac_mode: Annotated[EvacuationMode | None, doc("Which instances leave a node.")] = None
    target_groups: fields.TargetGroups = None
    spindle_use: Annotated[Count, doc("How many spindles it counts for.")] = 1
    count: Annotated[Count, doc("How many instances like this to place.")] = 1
    group_name: fields.OnlyGroup = None


class TestQueue(Opcode, tag="OP_TEST_JQUEUE"):
    """Go through the states of a job and tell a test about it."""

    notify_waitlock: Annotated[bool, doc("Tell the test when waiting for locks.")] = False
    notify_exec: Annotated[bool, doc("Tell the test when running.")] = False
    log_messages: Annotated[tuple[Lines, ...], doc("Messages for the job's log.")] = ()
    fail: Annotated[bool, doc("Fail in the end.")] = False


class TestDummy(Opcode, tag="OP_TEST_DUMMY"):
    """Answer what it is told to; only tests run it."""

    result: Annotated[Any, doc("The answer.")] = None
    messages: Annotated[Any, doc("Messages for the job's log.")] = None
    fail: Annotated[Any, doc("Fail with this.")] = None
    submit_jobs: Annotated[Any, doc("Jobs to submit.")] = None


class TestOSParameters(Opcode, tag="OP_TEST_OS_PARAMS"):
    """Take secret OS parameters and do nothing with them."""

    osparams_secret: fields.SecretParams = None
