# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of guests, nodes, disks and instance policies, and how their levels combine.

Each kind is declared in one module; read ``declaration`` first. ``filling`` merges the levels,
``parsing`` validates user input. To add a hypervisor, add a module beside ``kvm`` and a line to
``hypervisors``.
"""
