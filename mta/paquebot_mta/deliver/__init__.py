"""A transaction to an outcome for each recipient: SMTP, LMTP, maildir, mbox."""
