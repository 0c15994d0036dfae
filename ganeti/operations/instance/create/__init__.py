# SPDX-License-Identifier: BSD-2-Clause
"""Operations that create instances: start with ``instance_spec``, then ``create``."""
