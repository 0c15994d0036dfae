# SPDX-License-Identifier: BSD-2-Clause
"""Operations on the disks of an instance; ``block_devices`` has the steps they share."""
