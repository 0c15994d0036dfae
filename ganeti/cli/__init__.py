# SPDX-License-Identifier: BSD-2-Clause
"""Administrators' tools. Read ``command`` first: a tool is a tuple of declared commands.

Plain blocking code that imports as little as possible, so that a call returns at once.
"""
