# SPDX-License-Identifier: BSD-2-Clause
"""The remote API: a tree of ``twisted.web`` resources, which ``resource`` builds from ``routes``.

``routes`` declares all resources, in terms of ``verbs``; ``access`` authenticates and authorizes
requests. ``site`` and ``channel`` serve the tree within the limits of ``web/limits``.
"""
