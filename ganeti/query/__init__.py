# SPDX-License-Identifier: BSD-2-Clause
"""The query language: ``fields`` declares what can be queried, ``filters`` selects objects.

``filter_parser`` parses filters as administrators write them, ``list_arguments`` those of command
lines.
"""
