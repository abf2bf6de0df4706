"""Tables: the course's formulas and claims, the words, and where each leads."""

# The course's formulas (F, demos/README.md) and where each leads in the code: to an equation, or to a claim.
FORMULAS = {
    "F1": "T1", "F2": "T2", "F3": "T3", "F4": "T2", "F5": "T4", "F6": "T5", "F7": "E4", "F8": "T7", "F9": "E7",
    "F10": "E2", "F11": "T8", "F12": "S9", "F13": "S9", "F14": "T9", "F15": "E4", "F16": "E4", "F17": "E5", "F18": "D3",
    "F19": "D2", "F20": "E6", "F21": "E7", "F22": "E8", "F23": "E9", "F24": "T11", "F25": "G1", "F26": "T12",
    "F27": "T13", "F28": "T14", "F29": "T15", "F30": "T16", "F31": "T17", "F32": "S6", "F33": "T18", "F34": "T18",
    "F35": "T18", "F36": "T18", "F37": "T20", "F38": "T22", "F39": "T22", "F40": "T23", "F41": "T23"}

# The course's claims: in short, and the chapter.
CLAIMS = {
    "T1": ("KL(p || q) is the average over p of log(p / q)", "c01_kl_divergence"),
    "T2": ("KL is never negative, 0 only where p = q, and not symmetric", "c01_kl_divergence"),
    "T3": ("KL is cross entropy less entropy", "c01_kl_divergence"),
    "T4": ("an autoencoder compresses without labels", "c02_autoencoder"),
    "T5": ("an autoencoder cannot be sampled from: nobody knows where its codes lie", "c02_autoencoder"),
    "T6": ("KL(N(mu, sigma^2) || N(0, 1)) = 1/2 sum_j (mu^2 + sigma^2 - 1 - log sigma^2)", "c05_vae"),
    "T7": ("the KL term of the loss is T6, averaged over the examples", "c05_vae"),
    "T8": ("z = mu + sigma eps carries gradients through the draw", "c03_reparameterization"),
    "T9": ("loss = reconstruction + lambda KL", "c06_lambda"),
    "T10": ("the encoder puts out log sigma^2, not sigma", "c05_vae"),
    "T11": ("maximum likelihood: minimize -sum_n log p(x_n)", "c07_importance_sampling"),
    "T12": ("p(x) = E p(x | z) over the prior, where few draws count if Z is large", "c07_importance_sampling"),
    "T13": ("p(x) = E_q [p(x | z) p(z) / q(z)], importance sampling", "c07_importance_sampling"),
    "T14": ("log E >= E log, so the ELBO is a lower bound of log p(x)", "c08_elbo_gap"),
    "T15": ("ELBO = E_q log p(x | z) - KL(q(z | x) || p(z))", "c08_elbo_gap"),
    "T16": ("with Gaussian pixels lambda = 2 sigma_x^2", "c06_lambda"),
    "T17": ("log p(x) - ELBO = KL(q(z | x) || p(z | x))", "c08_elbo_gap"),
    "T18": ("KL of the two joint distributions = -average ELBO - entropy of the data", "c09_joint_view"),
    "T19": ("training ties both networks to one joint distribution; each can then be used alone", "c09_joint_view"),
    "T20": ("neither p(x) nor the aggregate posterior q(z) is matched directly", "c09_joint_view"),
    "T21": ("posterior means are good features", "c10_features"),
    "T22": ("delta = mean code with an attribute - mean code without it moves the attribute", "c11_attribute_vectors"),
    "T23": ("formulas that agree at random residues are one", "c13_certificate")}

# The chapter of an equation, by its family or alone.
CHAPTERS = {"E": "c04_backprop_by_hand", "D": "c04_backprop_by_hand", "S": "c08_elbo_gap", "L": "c06_lambda",
            "G": "c08_elbo_gap", "O": "c05_vae", "E2": "c03_reparameterization", "S9": "c03_reparameterization",
            "S1": "c07_importance_sampling", "S2": "c07_importance_sampling"}

# Words: what each means, and the tag that it leads to.
WORDS = {
    "nats": ("the unit of information with the natural logarithm; 1 nat is 1.4427 bits. Losses are nats an example",
             "T1"),
    "kl": ("the Kullback-Leibler divergence: how many nats a message of p costs more with the code that is best for q",
           "T1"),
    "elbo": ("the evidence lower bound: log p(x) less the divergence of q(z | x) from the posterior", "T15"),
    "gap": ("what the ELBO gives away: the divergence of q(z | x) from the posterior", "T17"),
    "prior": ("p(z) = N(0, I): what z is drawn from when something new is made", "T12"),
    "posterior": ("p(z | x): which z may have made an x; q(z | x) is the encoder's approximation of it", "T17"),
    "amortization": ("one encoder gives q(z | x) for every x, instead of an optimization for each", "T13"),
    "rate": ("the KL term: how many nats z holds about x, at most", "T9"),
    "distortion": ("the reconstruction term: how many nats x costs when z is known", "T9"),
    "aggregate_posterior": ("q(z), the average of q(z | x) over the data", "T20"),
    "latent": ("z, or one of its Z numbers: what is not seen and explains x", "T12"),
    "logits": ("what the decoder puts out for black-and-white pixels: log(p / (1 - p)), any real number", "E4"),
    "logvar": ("log sigma^2, what the encoder puts out; sigma = exp(logvar / 2)", "E2"),
    "sigma": ("the standard deviation exp(logvar / 2) of q(z | x)", "E2"),
    "eps": ("the noise, N(0, 1), that comes in from outside: z = mu + sigma eps", "E2"),
    "reparameterization": ("writing a draw as a function of what it depends on and of noise from outside", "E2"),
    "lambda": ("the weight of the KL beside the squared error, 2 sigma_x^2; beside half of it, beta = lambda / 2",
               "T16"),
    "beta": ("the weight of the KL beside a negative log-likelihood", "E4"),
    "score_function": ("the gradient without the trick: the loss times the slope of log q", "S9"),
    "baseline": ("a number that is subtracted from the loss in the score function, to make it less noisy", "S9"),
    "importance_weight": ("w = p(x | z) p(z) / q(z | x): how much a draw from q counts", "S2"),
    "iwae": ("the bound with the mean of K importance weights inside of the logarithm", "S6"),
    "stl": ("sticking the landing: the path derivative, q held; no noise where q is the posterior", "S7"),
    "dreg": ("the doubly reparameterized gradient of the bound of K samples", "S8"),
    "cotangent": ("d_name = dL/d(name), which a backward pass hands down", "D5"),
    "vjp": ("vector-Jacobian product: the cotangent of the output in, the cotangents of the inputs out", "D5"),
    "backward": ("from the cotangent of a layer's output to those of its weights and input", "D3"),
    "adam": ("an optimizer whose steps are a running mean of gradients over the root of that of squares", "O2"),
    "attribute_vector": ("the difference of two mean codes", "T22")}
