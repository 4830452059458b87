"""Celery: a task that asks an agent.

celery --app tests.embedding.celery_app worker
"""

from celery import Celery
from tests.embedding.agents import new_agent

from tether import blocking

app = Celery("agents")


@app.task
def ask(prompt: str) -> str:
    return blocking.prompt(new_agent(), prompt).text
