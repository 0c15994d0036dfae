# SPDX-License-Identifier: BSD-2-Clause
"""The state of the cluster in etcd; read ``interfaces`` first, then ``etcd_store``."""
