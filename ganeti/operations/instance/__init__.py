# SPDX-License-Identifier: BSD-2-Clause
"""Operations on instances; ``subject`` and ``hooks`` have what they share."""
