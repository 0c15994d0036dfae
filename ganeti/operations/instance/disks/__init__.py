# SPDX-License-Identifier: BSD-2-Clause
"""Operations for disks of an instance; ``block_devices`` has the steps they share."""
