"""Celery: a task that asks an agent.

celery --app tests.embedding.celery_app worker
"""

import os

from celery import Celery
from tests.embedding.agents import new_agent

from tether import blocking

app = Celery(
    "tests.embedding.celery_app",
    broker=os.environ.get("BROKER", "memory://"),
    backend="cache+memory://",
)


@app.task
def ask(prompt: str) -> str:
    return blocking.prompt(new_agent(), prompt).text
