"""Dividing a collection into train, val, test_id and test_ood, for good."""
