"""What is used of Ray; where it is missing, this says what to install."""

from typing import Any

try:
    from ray.exceptions import RayActorError, RayError, RaySystemError, RayTaskError

    import ray as _ray
    from ray import cloudpickle as _cloudpickle
except ImportError as error:
    raise ModuleNotFoundError(
        "tether.ray needs Ray: pip install 'tether[ray]'", name=error.name
    ) from error

__all__ = ("RayActorError", "RayError", "RaySystemError", "RayTaskError", "cloudpickle", "ray")

# Its own types say less than it does.
ray: Any = _ray
cloudpickle: Any = _cloudpickle
