# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon's parts; ``answers`` lists the RPC calls and their handlers, read it first."""
