# SPDX-License-Identifier: BSD-2-Clause
"""The query language: ``fields`` declares what can be queried, ``filters`` selects objects.

``text`` parses filters as administrators write them, ``arguments`` those of command lines.
"""
