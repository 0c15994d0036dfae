# SPDX-License-Identifier: BSD-2-Clause
"""The operation that modifies an instance; read ``modify`` first."""
