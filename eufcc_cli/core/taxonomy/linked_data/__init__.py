"""Tags as linked data: concepts, IRIs, SKOS."""
