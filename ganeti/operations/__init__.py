# SPDX-License-Identifier: BSD-2-Clause
"""Implementations of opcodes; read ``operation`` and ``perform`` first.

An operation is a module with a pure ``plan`` and a coroutine ``run``; ``registry`` lists them.
"""
