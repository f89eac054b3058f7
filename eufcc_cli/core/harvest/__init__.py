"""A harvest of Europeana: its APIs, the AAT, and the mapping of concepts to facets."""
