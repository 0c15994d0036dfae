# SPDX-License-Identifier: BSD-2-Clause
"""Named changes of the configuration: pure functions that make functions from state to state.

``objects`` has what fits every kind. A change looks up what it is about, by UUID, in the state
that it is applied to, and refuses if that is gone; so it may be made from an older state.
"""
