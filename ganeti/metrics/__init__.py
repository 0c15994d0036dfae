# SPDX-License-Identifier: BSD-2-Clause
"""Numbers about the cluster: ``family`` is how daemons count, ``exposition`` how it is read."""
