"""Streamlit: a page that writes a run as it arrives.

streamlit run tests/embedding/streamlit_app.py
"""

import atexit
from collections.abc import Iterator

import streamlit as st
from tests.embedding.agents import new_agent

import tether
from tether.embedding.threads import BlockingRuns


@st.cache_resource
def all_runs() -> BlockingRuns:
    runs = BlockingRuns()
    atexit.register(runs.close)
    return runs


def words(agent: tether.Agent, prompt: str) -> Iterator[str]:
    with all_runs().run(agent, prompt) as run:
        for event in run:
            match event:
                case tether.MessageUpdate(delta=tether.TextDelta(text)):
                    yield text


if "agent" not in st.session_state:
    st.session_state.agent = new_agent()
if prompt := st.chat_input("Ask something"):
    st.chat_message("user").write(prompt)
    st.chat_message("assistant").write_stream(words(st.session_state.agent, prompt))
