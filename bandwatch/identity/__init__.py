"""Who is who: the certificate authority, members' keys and certificates, and join tokens."""
