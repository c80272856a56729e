"""Listeners and sessions: receives mail by SMTP and LMTP and answers 250 only after the spool has committed."""
