# SPDX-License-Identifier: BSD-2-Clause
"""The opcodes, one module per family; ``opcode`` has their base class."""
