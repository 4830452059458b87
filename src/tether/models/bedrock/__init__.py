"""Amazon Bedrock, Converse."""
