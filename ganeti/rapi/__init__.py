# SPDX-License-Identifier: BSD-2-Clause
"""The remote API: ``http`` and ``connection`` carry requests, ``api`` answers them by ``routes``.

``routes`` declares every resource, in the terms of ``verbs``; ``access`` knows who may do what.
"""
