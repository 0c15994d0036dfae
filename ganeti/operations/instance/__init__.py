# SPDX-License-Identifier: BSD-2-Clause
"""Operations for instances; ``context`` and ``instance_hooks`` have what they share."""
