"""SPF, DKIM, DMARC, ARC and SRS as pure rules over a resolver."""
