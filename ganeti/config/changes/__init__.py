# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the configuration: pure functions that return functions from state to state.

``objects`` has changes for objects of any kind. A change looks up its object by UUID in the state
that it is applied to and is refused if it was removed, so it may be created from an older state.
"""
