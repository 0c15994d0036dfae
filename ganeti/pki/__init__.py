# SPDX-License-Identifier: BSD-2-Clause
"""Certificates of the cluster, its nodes and its peers; read ``authority`` first."""
