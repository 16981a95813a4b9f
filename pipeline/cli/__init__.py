"""Commands at the prompt: thin, each a call into the rooms below."""
