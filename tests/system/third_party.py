# SPDX-License-Identifier: BSD-2-Clause
"""An instance's life through the client library of another project, package python3-ganeti-rapi.

Run by the system's Python, away from this tree, in the environment that the quick start gives.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

# By name: it is called as ours is, and type checkers would take it for that.
rapi: Any = import_module("ganeti.rapi.client")

NAME = "third"


def main() -> None:
    """Create, list, stop, start and remove an instance; print each step that worked."""
    address = urlsplit(os.environ["RAPI_URL"])
    client = rapi.GanetiRapiClient(
        address.hostname,
        port=address.port,
        username=os.environ["RAPI_USER"],
        password=os.environ["RAPI_PASSWORD"],
        curl_config_fn=rapi.GenericCurlConfig(cafile=os.environ["RAPI_CA"]),
    )

    def done(job: Any, what: str) -> None:
        if not client.WaitForJobCompletion(job, period=0.05, retries=600):
            raise SystemExit(f"{what}: {client.GetJobStatus(job)}")
        print(what)

    created = client.CreateInstance(
        "create", NAME, "file", [{"size": 16}], [{}], os="noop", name_check=False, ip_check=False
    )
    done(created, "created")
    if client.GetInstance(NAME)["status"] == "running" and NAME in client.GetInstances():
        print("listed")
    done(client.ShutdownInstance(NAME), "stopped")
    if client.GetInstance(NAME)["status"] == "ADMIN_down":
        print("seen stopped")
    done(client.StartupInstance(NAME), "started")
    done(client.DeleteInstance(NAME), "removed")
    if NAME not in client.GetInstances():
        print("gone")


if __name__ == "__main__":
    main()
