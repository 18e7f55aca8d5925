"""Learning from traces: selection, fine-tuning, rewards, the two-turn policy gradient."""
