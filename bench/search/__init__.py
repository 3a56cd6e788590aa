"""Finds plans: times candidate stages on this device, predicts what each costs in quality, solves for the best set."""
