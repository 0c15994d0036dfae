# SPDX-License-Identifier: BSD-2-Clause
"""What each opcode does: ``operation`` says in which form, ``perform`` how one is carried out.

Every operation is a module with a pure ``plan`` and an acting ``run``; ``registry`` lists them.
"""
