"""The rooms behind `scratchvae.bugs`: planted faults by kind, the cases they are tried on, the instruments."""
