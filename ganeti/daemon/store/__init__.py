# SPDX-License-Identifier: BSD-2-Clause
"""The state store, etcd, as the daemons of this host reach it. Read ``store_connection`` first."""
