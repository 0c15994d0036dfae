# SPDX-License-Identifier: BSD-2-Clause
"""Where an instance may go: start with ``candidates``, ``target_node`` and ``iallocator``."""
