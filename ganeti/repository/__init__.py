# SPDX-License-Identifier: BSD-2-Clause
"""Repositories of backups: chunks named by their contents, and manifests that list them.

``interfaces`` is what a node daemon uses, and what a store is. ``chunk_format`` and ``manifest``
are the formats of objects, ``stored_repository`` is which objects there are, ``stores`` has the
kinds of stores, ``local`` runs all of it in threads.
"""
