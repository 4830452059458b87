"""RQ: a job that asks an agent.

rq worker
"""

from tests.embedding.agents import new_agent

from tether import blocking


def ask(prompt: str) -> str:
    return blocking.prompt(new_agent(), prompt).text
