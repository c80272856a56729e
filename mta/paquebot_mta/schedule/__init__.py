"""When each envelope is due: ids and times only, never content. Pure and in memory; the spool's states rebuild it."""
