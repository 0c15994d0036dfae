# SPDX-License-Identifier: BSD-2-Clause
"""Operations that bring an instance to another node or group."""
