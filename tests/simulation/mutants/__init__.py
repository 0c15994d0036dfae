# SPDX-License-Identifier: BSD-2-Clause
"""Planted bugs that the simulation must find: ``python -m tests.simulation.mutants``.

``mutant`` says what one is, the modules beside it list them by the part of the code that they are
planted in, ``__main__`` plants each in a copy of the tree and plays seeds until it is found.
"""
