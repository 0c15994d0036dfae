# SPDX-License-Identifier: BSD-2-Clause
"""The configuration: its state, changes, file formats and writer; read ``state`` first."""
