"""What each figure of the course shows, in a sentence: alternative text, and caption in report.html."""

CAPTIONS = {
    "c01_nearest_gaussians":
        "A density with two humps, the one wide Gaussian of least KL(p, q), and two narrow ones of least KL(q, p)",
    "c01_directions": "KL(p, q) and KL(q, p) over the width of q, and cross entropy less entropy beside KL(p, q)",
    "c02_draws":
        "Rows of digits: real, made again by the autoencoder and by the VAE, and decoded draws of each; only the "
        "autoencoder's draws lie far from the data",
    "c02_codes":
        "Codes of two autoencoders that reconstruct alike, one set four times as wide, and of the VAE, whose codes "
        "fill the prior's circles",
    "c03_graph":
        "The graph of one draw: mu, epsilon and logvar lead to z, z to the loss, mu and logvar also by the KL; each "
        "arrow has its derivative, mu, logvar, sigma and z their gradients",
    "c03_variance": "Variance of three estimates over the latent dimensions, measured and exact",
    "c03_histograms":
        "Single estimates of one gradient, three kinds on one axis: those of the trick lie within a few units",
    "c04_graph":
        "The tiny VAE as a graph, with the value and the gradient of every node, and a derivative on every arrow",
    "c05_decoded_plane": "Digits decoded on a grid over the latent plane",
    "c05_codes_plane": "The held-out images' codes in the latent plane, by digit",
    "c05_every_digit": "The z of six images, each decoded for the digits 0 to 9",
    "c05_learning": "Loss, reconstruction and KL over the epochs of training",
    "c05_reconstructions": "Held-out digits and their reconstructions",
    "c05_samples": "Decoded draws from the prior: most are digits, some are not",
    "c06_rate_distortion": "Rate against distortion for three data sets, and the held-out quality at each lambda",
    "c06_pictures": "Originals, reconstructions and draws at a small, the best and a large lambda",
    "c07_collapse":
        "The share of draws that count, from the prior and from the encoder, over the latent dimensions, and the "
        "error of log p(x)",
    "c07_draws": "Draws of the prior and of the encoder over the posterior of one x: few of the prior's fall there",
    "c08_closing_gap": "The ELBO rises to log p(x) while the encoder trains; with correlated latents a gap stays",
    "c08_staircase": "The bounds with K draws climb from the ELBO toward log p(x), except where q misses a hump",
    "c08_posteriors": "Three posteriors and the encoder's q: where there are two humps, q sits on one",
    "c09_joint_densities": "Both joint distributions and their marginals, before and after training",
    "c09_ledger": "Three sums of nats as bars: loss, KL term and negative ELBO, each with its parts",
    "c09_draws":
        "Real digits, and digits decoded from the prior, from a mixture, from q(z) and from real ones' codes",
    "c09_unreality": "Distances to the nearest real image: draws from the prior lie furthest",
    "c10_probe": "Accuracy of a linear probe over the number of labels, for four kinds of features",
    "c11_faces": "Four faces in rows, first x itself; then, from left to right, their eyes grow",
    "c11_leak": "One face along three vectors: the plain difference adds a smile, the balanced one does not",
    "c11_eye_size": "Eye size in the decoded pixels grows with t, for each of eight faces",
    "c11_changes":
        "What each vector does to all nine factors, with independent labels and where large eyes often smile",
    "c12_convictions": "How many bugs of each group every detector finds: none finds all",
    "c12_curves": "Held-out loss of right runs and of runs with one of three mistakes: all fall",
    "c13_caught":
        "A row of dots each for the certificate and for finite differences: all errors are caught by the first, "
        "only large ones by the second"}
