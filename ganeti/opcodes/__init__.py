# SPDX-License-Identifier: BSD-2-Clause
"""What can be asked of a cluster: ``opcode`` says how, and each family has a module."""
