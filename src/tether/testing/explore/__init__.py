"""Explore whole agent programs: every schedule, fault, steering and cancellation answers to one function.

async def program(sim):
    agent = sim.agent(make_agent())
    await sim.drive(agent, "Book a seat.")
    assert seats.left >= 0

explore(program, runs=2000)
"""

from tether.testing.explore.search import ExploreError, ExploreReport, explore
from tether.testing.explore.simulation import Simulation
from tether.testing.explore.tools import SimulatedError

__all__ = ("ExploreError", "ExploreReport", "SimulatedError", "Simulation", "explore")
