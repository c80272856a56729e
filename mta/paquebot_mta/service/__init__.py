"""Wires everything: builds a worker from the command line's options, supervises several, handles signals and drain."""
