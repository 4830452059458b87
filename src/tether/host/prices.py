"""What conversations cost, as far as prices are known."""

from collections.abc import Iterable
from functools import partial

from anyio.to_thread import run_sync

from tether import Agent, AssistantMessage, UsageError
from tether.models.knowledge import cost_of, require_price

__all__ = ("Prices",)


class Prices:
    """The known prices, which take a while to load."""

    def __init__(self) -> None:
        self._loaded = False

    async def load(self, agent: Agent) -> None:
        """Load them in a thread, if the agent's replies cost what is to be looked up.

        Cancellation:
            Once they are loaded.
        """
        if not self._loaded and agent.price is None and _has_provider(agent):
            await run_sync(_is_known, agent)
            self._loaded = True

    def cost(self, agent: Agent, replies: Iterable[AssistantMessage]) -> float | None:
        """Add up what replies cost.

        Returns:
            By the `price` of the agent, else in US dollars; None where a price is not known.
        """
        price = agent.price
        if price is None:
            if not _has_provider(agent):
                return 0.0
            if not self._loaded or not _is_known(agent):
                return None
            price = partial(cost_of, model=agent.model)
        try:
            return sum(map(price, replies), 0.0)
        except Exception:  # noqa: BLE001 - a price that fails ends runs, and not those who look on
            return None


def _has_provider(agent: Agent) -> bool:
    """Whether its model is somebody's; one without a provider runs here."""
    return ":" in agent.model.name


def _is_known(agent: Agent) -> bool:
    try:
        require_price(agent.model)
    except UsageError:
        return False
    return True
