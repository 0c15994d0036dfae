# SPDX-License-Identifier: BSD-2-Clause
"""The language of questions: ``fields`` says what can be asked for, ``filters`` of which objects.

``text`` reads filters as administrators write them, ``arguments`` those of a command line.
"""
