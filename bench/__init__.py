"""Measures Paquebot beside Debian's Postfix, in one run on one machine, and says where the time goes.

`python -m bench` (or `make bench`). It drives both from outside, as the tests do; it must not know anything of their
inside but the names of packages, which the profile is summed up by.
"""
