# SPDX-License-Identifier: BSD-2-Clause
"""Certificates of the cluster and its nodes; start with ``authority``."""
