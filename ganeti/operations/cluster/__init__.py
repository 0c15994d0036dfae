# SPDX-License-Identifier: BSD-2-Clause
"""Operations on the cluster as a whole."""
