"""What this wire is called in conversations, and in the table of dialects."""

NAME = "gemini"
