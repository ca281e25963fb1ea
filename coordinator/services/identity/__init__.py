"""Who may take part: certificates, join tokens, operators, and what an observer is trusted with."""
