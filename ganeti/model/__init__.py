# SPDX-License-Identifier: BSD-2-Clause
"""Immutable records of the cluster configuration; read ``cluster`` and ``instance`` first.

The records have the fields of Ganeti 3.0's ``config.data``, so that file needs no translation.
``guest`` is an instance as a node sees it, with all its parameters filled in.
"""
