# SPDX-License-Identifier: BSD-2-Clause
"""The remote API, a tree of ``twisted.web`` resources: ``resource`` makes it of the ``routes``.

``routes`` declares every resource, in the terms of ``verbs``; ``access`` knows who may do what.
``site`` and ``channel`` serve the tree to many clients within ``limits``.
"""
