# SPDX-License-Identifier: BSD-2-Clause
"""The way into the master over a Unix socket: ``methods`` says what can be asked, ``framing`` how
it looks as bytes; ``server`` and ``connection`` answer, ``client`` and ``async_client`` ask."""
