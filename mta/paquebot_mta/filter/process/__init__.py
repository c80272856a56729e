"""Programs that speak OpenSMTPD's filter protocol (smtpd-filters(7)), as children or behind a unix socket."""
