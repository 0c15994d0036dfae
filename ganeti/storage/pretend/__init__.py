# SPDX-License-Identifier: BSD-2-Clause
"""Simulated volume groups and DRBD disks, for trying a cluster on a host that has neither.

All nodes are on one host and share a directory, which is configured in a file of each node
(``pretend-storage``); without that file, nothing here is used. ``volumes`` and ``devices`` simulate
LVM, ``mirror`` simulates DRBD. All data is in plain files, which can be damaged by hand:

- ``FOLDER/NODE/devices.json`` lists the devices of a node; one that is ``missing`` has failed;
- removing a file below ``FOLDER/NODE/volumes`` destroys that copy of a disk.
"""
