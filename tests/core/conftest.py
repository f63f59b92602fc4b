"""Hypothesis without deadlines: how long an example takes says how busy the machine is, not whether
the code is right.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("googlenet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("googlenet")
