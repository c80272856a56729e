"""Paquebot's operator: compiles custom resources into the MTA's configuration and reports what came of it.

Of the MTA it knows only the contract, `paquebot_mta.config`.
"""
