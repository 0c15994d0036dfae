# SPDX-License-Identifier: BSD-2-Clause
"""Volume groups and mirrored disks on a host that has neither, for trying a cluster out.

All nodes are on one host and share a folder, which a file of each node's configuration names
(``pretend-storage``); without that file nothing here is used. ``volumes`` and ``units`` pretend
LVM, ``mirror`` pretends DRBD. Everything is in plain files, which can be broken by hand:

- ``FOLDER/NODE/devices.json`` lists the devices of a node; one that is ``missing`` has failed;
- removing a file below ``FOLDER/NODE/volumes`` breaks that copy of a disk.
"""
