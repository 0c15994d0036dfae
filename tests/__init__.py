# SPDX-License-Identifier: BSD-2-Clause
"""The tests. Examples that Hypothesis makes up are the same in every run, on slow machines too."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "checks", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("checks")
