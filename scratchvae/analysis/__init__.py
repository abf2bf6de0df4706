"""What a trained model is worth: held-out quality, the ELBO taken apart, its latents, estimators and rates compared."""
