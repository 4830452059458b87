"""Amazon Bedrock: models in an AWS account, by a key of Bedrock's or by signed requests.

After Amazon's references (Bedrock Runtime; Signature Version 4). botocore signs, and finds credentials as Amazon's own
tools do; the requests are ours, so that they run on every backend.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import anyio.to_thread
from attrs import define
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from tether.errors import ModelError
from tether.models.bedrock.api import BEDROCK_CONVERSE
from tether.models.clouds.settings import Given, chosen, needed

__all__ = ("bedrock",)

_KEY: Final = "AWS_BEARER_TOKEN_BEDROCK"
_REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
_SERVICE: Final = "bedrock"


def bedrock(
    model: str,
    *,
    base_url: str | None = None,
    api_key: Given = None,
    region: str | None = None,
    profile: str | None = None,
    credentials: Any = None,
    **settings: Any,
) -> dict[str, Any]:
    """Reach a model over Bedrock's Converse API.

    Args:
        model: the id of a model or an inference profile, or an ARN.
        base_url: the address, in place of the region's own.
        api_key: a key of Bedrock's; AWS_BEARER_TOKEN_BEDROCK if None. Without one, requests are signed.
        region: such as `eu-central-1`; AWS_REGION, AWS_DEFAULT_REGION or the profile's if None.
        profile: of the AWS configuration; AWS_PROFILE if None.
        credentials: botocore's credentials, in place of those that it finds.
        **settings: of the model.

    Returns:
        The fields of the model.

    Raises:
        UsageError: no region is named.
    """
    del model
    session = Session(profile=profile)
    place = region or chosen(None, *_REGIONS) or _region_of(session)
    place = needed(place, "bedrock", "region", *_REGIONS)
    key = api_key if api_key is not None else partial(_key_in_environment, credentials)
    return {
        "api": BEDROCK_CONVERSE,
        "base_url": base_url or f"https://bedrock-runtime.{place}.{_domain(place)}",
        "key": key,
        "key_from": f"read from {_KEY} or found by botocore"
        if api_key is None
        else "passed as api_key",
        "sign": _Signer(session, place, credentials) if api_key is None else None,
        **settings,
    }


def _key_in_environment(credentials: Any) -> str:
    return "" if credentials is not None else chosen(None, _KEY) or ""


def _region_of(session: Any) -> str | None:
    try:
        region = session.get_config_variable("region")
    except BotoCoreError:
        return None  # there is no such profile: the first request says so
    return region if isinstance(region, str) else None


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


@define(eq=False, repr=False)
class _Signer:
    """Signs requests. To find credentials, or to renew them, asks files and servers: so in a thread."""

    session: Any
    region: str
    credentials: Any

    async def __call__(self, url: str, body: bytes) -> Mapping[str, str]:
        """Sign a request; none is needed where there is a key."""
        if self.credentials is None and chosen(None, _KEY):
            return {}
        return await anyio.to_thread.run_sync(self._signed, url, body, abandon_on_cancel=True)

    def _signed(self, url: str, body: bytes) -> Mapping[str, str]:
        request: Any = AWSRequest(method="POST", url=url, data=body)
        try:
            credentials = self.credentials or self.session.get_credentials()
            if credentials is None:
                raise _nobody("none were found")
            SigV4Auth(credentials.get_frozen_credentials(), _SERVICE, self.region).add_auth(request)
        except BotoCoreError as error:
            raise _nobody(str(error)) from error
        return {str(name).lower(): str(value) for name, value in request.headers.items()}


def _nobody(reason: str) -> ModelError:
    return ModelError(
        f"no AWS credentials ({reason}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or {_KEY}, "
        "or pass api_key",
        kind="authentication",
    )
