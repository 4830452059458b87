"""OpenAI Responses, and whatever speaks it."""
