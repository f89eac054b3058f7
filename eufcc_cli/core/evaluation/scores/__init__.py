"""The scores that an evaluation is made of: of models, ensembles and predictions files."""
