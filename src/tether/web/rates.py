"""How many requests come from whom. No I/O."""

from attrs import define, field, frozen

__all__ = ("Rate", "Rates")

_MOST_KNOWN = 10_000


@frozen
class Rate:
    """So many requests a second in the long run."""

    per_second: float
    burst: float
    """How many at once."""


@define
class _Bucket:
    left: float
    at: float


@define
class Rates:
    """Counts requests, by whom they come from.

    Args:
        rate: what is allowed to each.
    """

    rate: Rate
    _buckets: dict[str, _Bucket] = field(factory=dict)

    def wait(self, who: str, now: float) -> float:
        """Say how long somebody has to wait.

        Args:
            who: whom the request comes from.
            now: seconds.

        Returns:
            Seconds until the next request is allowed; 0 if one is.
        """
        return max(0.0, (1 - self._bucket(who, now).left) / self.rate.per_second)

    def take(self, who: str, now: float) -> None:
        """Count a request."""
        self._bucket(who, now).left -= 1

    def _bucket(self, who: str, now: float) -> _Bucket:
        bucket = self._buckets.get(who)
        if bucket is None:
            if len(self._buckets) >= _MOST_KNOWN:
                self._forget_the_quiet(now)
            bucket = self._buckets[who] = _Bucket(self.rate.burst, now)
        gained = (now - bucket.at) * self.rate.per_second
        bucket.left, bucket.at = min(self.rate.burst, bucket.left + gained), now
        return bucket

    def _forget_the_quiet(self, now: float) -> None:
        """Forget those who may do all again, and if there are none, everybody."""
        full = self.rate.burst / self.rate.per_second
        kept = {who: bucket for who, bucket in self._buckets.items() if now - bucket.at < full}
        self._buckets = kept if len(kept) < _MOST_KNOWN else {}
