# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of several nodes on this host, made by one command; ``__main__`` has the commands.

Plain blocking code: it founds the cluster (``founding``), starts and ends its daemons
(``daemons``) and asks the master for the rest over its socket (``orders``). Where everything of
a cluster is, ``place`` knows.
"""
