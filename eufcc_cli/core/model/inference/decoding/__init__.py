"""Images ahead of the network that will see them: read in threads, decoded there or in processes."""
