# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of instances; read ``creation`` first. ``conditions`` has what others must respect."""
