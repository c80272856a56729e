"""The stream of report events for anyone: programs, sockets and files, each with a bounded queue of its own."""
