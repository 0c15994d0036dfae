# SPDX-License-Identifier: BSD-2-Clause
"""Doubles and builders that ship with the product; read ``builders`` first. For tests only."""
