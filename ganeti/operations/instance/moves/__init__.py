# SPDX-License-Identifier: BSD-2-Clause
"""Operations that move an instance to another node or group."""
