# SPDX-License-Identifier: BSD-2-Clause
"""An S3-compatible store as a process on loopback: ``python -m tests.system.s3_server``.

It has a bucket *vault*, and accepts only requests with signatures of the access key that it prints,
after its URL. It is moto, whose own check of signatures is that of Amazon's library.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ganeti.model.backups import S3Settings
from tools.quickstart.place import TREE

_REGION = "us-east-1"
_SETUP_REQUESTS = 4
"""Requests without a valid signature that are accepted at first: a user, its key, its policy, the
bucket."""


def start_store(case: SynchronousTestCase) -> S3Settings:
    """Start a store for the time of a test; return how it is reached."""
    if importlib.util.find_spec("moto") is None:
        raise SkipTest("moto is not installed (pip install -e .[s3])")
    store = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.system.s3_server"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TREE), *sys.path]),
            "INITIAL_NO_AUTH_ACTION_COUNT": str(_SETUP_REQUESTS),
        },
        text=True,
    )
    case.addCleanup(store.wait)
    case.addCleanup(store.kill)
    assert store.stdout is not None
    case.addCleanup(store.stdout.close)
    for line in store.stdout:
        if line.startswith("http://"):
            endpoint, access_key, secret_key = line.split()
            return S3Settings(
                endpoint=endpoint, region=_REGION, access_key=access_key, secret_key=secret_key
            )
    raise AssertionError("the store did not start")


def main() -> None:
    """Serve until the process is ended."""
    # Both are optional.
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    told = {
        "endpoint_url": endpoint,
        "region_name": _REGION,
        "aws_access_key_id": "setup",
        "aws_secret_access_key": "setup",
    }
    users = boto3.client("iam", **told)
    users.create_user(UserName="ganeti")
    key = users.create_access_key(UserName="ganeti")["AccessKey"]
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    users.put_user_policy(UserName="ganeti", PolicyName="all", PolicyDocument=policy)
    boto3.client("s3", **told).create_bucket(Bucket="vault")
    print(endpoint, key["AccessKeyId"], key["SecretAccessKey"], flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
