# SPDX-License-Identifier: BSD-2-Clause
"""The state of the cluster and its one writer; read ``state``, then ``changes``."""
