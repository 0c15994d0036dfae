# SPDX-License-Identifier: BSD-2-Clause
"""The remote API: a tree of ``twisted.web`` resources, which ``resource`` builds from ``routes``.

``routes`` declares all resources, in terms of ``verbs``; ``authentication`` authenticates
requests, and ``admission`` authorizes them. ``site`` and ``channel`` serve the tree within the
limits of ``web/limits``.
"""
