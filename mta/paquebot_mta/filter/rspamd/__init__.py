"""rspamd, asked over HTTP once a message (``/checkv2``)."""
