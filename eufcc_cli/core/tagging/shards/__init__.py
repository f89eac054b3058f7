"""What outgrows one process: a plan of shards, each a pure function of the plan and its number."""
