# SPDX-License-Identifier: BSD-2-Clause
"""What the master asks of nodes: one declaration per call, shared by both ends; see ``call``."""
