# SPDX-License-Identifier: BSD-2-Clause
"""What can be set for guests, nodes, disks and placement, level by level.

One module declares each kind; read ``declaration`` first. ``filling`` says what holds in the end,
``given`` reads what users write. A new hypervisor is a module beside ``kvm`` and a line in
``hypervisors``.
"""
