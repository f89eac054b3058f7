"""Where the data comes from: the published dataset, Europeana, the demo, the images."""
