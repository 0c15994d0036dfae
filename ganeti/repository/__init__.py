# SPDX-License-Identifier: BSD-2-Clause
"""Repositories of backups: chunks named by their contents, and manifests that list them.

``interfaces`` is what a node daemon uses, ``chunk_format`` and ``manifest`` are the formats of
files, ``folder`` is where they are stored, ``local`` runs all of it in threads.
"""
