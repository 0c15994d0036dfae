# SPDX-License-Identifier: BSD-2-Clause
"""Calls from the master to nodes, with their client and server; read ``call`` first."""
