"""Language models: loading and saving, conversations as tokens, sampling, pretraining."""
