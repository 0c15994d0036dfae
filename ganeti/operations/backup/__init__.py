# SPDX-License-Identifier: BSD-2-Clause
"""Exports of instances to nodes and to other clusters; read ``export`` first."""
