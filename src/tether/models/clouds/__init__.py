"""Clouds that offer models of others: their addresses, and how they want to be told who asks."""
