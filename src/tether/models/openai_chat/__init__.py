"""OpenAI Chat Completions, and whatever speaks it."""
