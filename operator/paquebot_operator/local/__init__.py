"""The same manifests without a cluster: ``paquebot check`` judges them, ``paquebot run`` starts an MTA with them.

May use the compiler and the disk; knows of the MTA the contract, and its command line as a program to start.
"""
