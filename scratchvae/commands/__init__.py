"""The commands of `scratchvae`, a file each (the picture commands share one); cli.COMMANDS lists them."""
