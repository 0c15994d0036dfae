# SPDX-License-Identifier: BSD-2-Clause
"""The fields of instances: ``instance_fields`` declares them, ``row`` computes them,
``instance_lists`` encodes lists.
"""
