# SPDX-License-Identifier: BSD-2-Clause
"""The master daemon's parts: recovery, mastership, replication, queries; read ``answers`` first."""
