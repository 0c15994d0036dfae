# SPDX-License-Identifier: BSD-2-Clause
"""Operations for the cluster as a whole."""
