# SPDX-License-Identifier: BSD-2-Clause
"""Sockets and certificates of the daemons on a real host. Read ``node_certificate`` first."""
