"""The exercises, one file a chapter of the course: to import them fills EXERCISES, in their order."""
from . import (c01_kl_divergence, c02_autoencoder, c03_reparameterization, c04_backprop_by_hand, c05_vae, c06_lambda,
               c07_importance_sampling, c08_elbo_gap, c09_joint_view, c11_attribute_vectors, your_own_vae)

CHAPTERS = (c01_kl_divergence, c02_autoencoder, c03_reparameterization, c04_backprop_by_hand, c05_vae, c06_lambda,
            c07_importance_sampling, c08_elbo_gap, c09_joint_view, c11_attribute_vectors, your_own_vae)
