# SPDX-License-Identifier: BSD-2-Clause
"""Choice of nodes for instances; read ``candidates``, ``target_node`` and ``iallocator`` first."""
