"""What a conversation has changed in files: shown as differences, and taken back."""
