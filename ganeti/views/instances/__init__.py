# SPDX-License-Identifier: BSD-2-Clause
"""The fields of instances: ``table`` declares them, ``row`` computes them, ``objects`` encodes
lists."""
