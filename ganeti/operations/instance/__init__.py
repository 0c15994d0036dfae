# SPDX-License-Identifier: BSD-2-Clause
"""Operations for instances; ``context`` and ``hooks`` have what they share."""
