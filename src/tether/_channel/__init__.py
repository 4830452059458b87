"""Event streams: the buffer of one consumer, what all consumers of a stream share, and what a consumer raises."""
