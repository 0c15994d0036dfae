# SPDX-License-Identifier: BSD-2-Clause
"""Operations that export instances to nodes and other clusters; read ``export`` first."""
