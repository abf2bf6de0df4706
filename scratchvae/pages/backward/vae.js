// The VAE of chapter 4 as two tables, nodes forward and edges backward, which drive the arithmetic, the drawing and the
// words. Names as in demos/tiny.py: A, h, mu, v = log sigma^2, sigma, z, C, g, l, nll, L, also in the formulas' text.

export const SIGMA_X = 0.5;                                     // of Gaussian pixels

export const softplus = l => Math.max(l, 0) + Math.log1p(Math.exp(-Math.abs(l)));
export const sigmoid = l => 1 / (1 + Math.exp(-l));
export const klOf = (t, Z) => t.klm1 + t.kls1 + (Z === 2 ? t.klm2 + t.kls2 : 0);
// The names of what belongs to latent j; and a list of what `make` returns for each latent.
export const named = j => ({ mu: `mu${j}`, v: `v${j}`, sigma: `sigma${j}`, eps: `eps${j}`, z: `z${j}` });
const latents = (Z, make) => Array.from({ length: Z }, (_, j) => make(j + 1, named(j + 1))).flat();

// The parameters by name: where each lies in the package's model.
const parametersOf = Z => Object.fromEntries([
  ["U1", "encoder.0.W[0, 0]"], ["U2", "encoder.0.W[1, 0]"], ["a", "encoder.0.b[0]"],
  ...latents(Z, j => [[`Wm${j}`, `encoder.head.W[0, ${j - 1}]`], [`Wv${j}`, `encoder.head.W[0, ${Z + j - 1}]`],
    [`cm${j}`, `encoder.head.b[${j - 1}]`], [`cv${j}`, `encoder.head.b[${Z + j - 1}]`]]),
  ...latents(Z, j => [[`R${j}`, `decoder.0.W[${j - 1}, 0]`]]), ["r", "decoder.0.b[0]"],
  ["S1", "decoder.head.W[0, 0]"], ["S2", "decoder.head.W[0, 1]"],
  ["s1", "decoder.head.b[0]"], ["s2", "decoder.head.b[1]"]]);

// Nodes in the order of the forward pass: tag, formula as text and as a function of one row's numbers. `of` is "n" for
// one value an example, "nk" for one a sample; `bias` is the node's own.
const nodesOf = (Z, gaussian) => [
  ["A", "D1", "n", "x1 U1 + x2 U2 + a", t => t.x1 * t.U1 + t.x2 * t.U2 + t.a, "a"],
  ["h", "D1", "n", "tanh(A)", t => Math.tanh(t.A)],
  ...latents(Z, (j, { mu, v, sigma, eps, z }) => [
    [mu, "E1", "n", `h Wm${j} + cm${j}`, t => t.h * t[`Wm${j}`] + t[`cm${j}`], `cm${j}`],
    [v, "E1", "n", `h Wv${j} + cv${j}`, t => t.h * t[`Wv${j}`] + t[`cv${j}`], `cv${j}`],
    [sigma, "E2", "n", `exp(${v} / 2)`, t => Math.exp(0.5 * t[v])],
    [z, "E2", "nk", `${mu} + ${sigma} ${eps}`, t => t[mu] + t[sigma] * t[eps]],
    [`klm${j}`, "E4", "n", `${mu}² / 2`, t => 0.5 * t[mu] * t[mu]],
    [`kls${j}`, "E4", "n", `(${sigma}² − 1 − ${v}) / 2`, t => 0.5 * (Math.expm1(t[v]) - t[v])]]),
  ["C", "D1", "nk", `${latents(Z, j => [`z${j} R${j}`]).join(" + ")} + r`,
    t => t.z1 * t.R1 + (Z === 2 ? t.z2 * t.R2 : 0) + t.r, "r"],
  ["g", "D1", "nk", "tanh(C)", t => Math.tanh(t.C)],
  ["l1", "E3", "nk", "g S1 + s1", t => t.g * t.S1 + t.s1, "s1"],
  ["l2", "E3", "nk", "g S2 + s2", t => t.g * t.S2 + t.s2, "s2"],
  gaussian
    ? ["nll", "E8", "nk", "((x1 − l1)² + (x2 − l2)²) / 0.5 + 0.4516", t => ((t.l1 - t.x1) ** 2 + (t.l2 - t.x2) ** 2)
      / (2 * SIGMA_X * SIGMA_X) + 2 * (Math.log(SIGMA_X) + 0.5 * Math.log(2 * Math.PI))]
    : ["nll", "E4", "nk", "softplus(l1) − x1 l1 + softplus(l2) − x2 l2",
      t => softplus(t.l1) - t.x1 * t.l1 + softplus(t.l2) - t.x2 * t.l2],
  ["L", "E4", "", `nll + beta (${latents(Z, j => [`klm${j} + kls${j}`]).join(" + ")})`,
    t => t.nll + t.beta * klOf(t, Z)],
].map(([name, tag, of, text, f, bias]) => ({ name, tag, of, text, f, bias }));

// Edges in the order of the backward pass: from, to, tag, d(to)/d(from) as text and as a function, the arrow's weight.
const edgesOf = (Z, gaussian) => [
  ["nll", "L", "E4", "1", () => 1],
  ...latents(Z, j => [[`klm${j}`, "L", "E4", "beta", t => t.beta], [`kls${j}`, "L", "E4", "beta", t => t.beta]]),
  ...[1, 2].map(d => gaussian
    ? [`l${d}`, "nll", "E9", `(l${d} − x${d}) / 0.25`, t => (t[`l${d}`] - t[`x${d}`]) / SIGMA_X ** 2]
    : [`l${d}`, "nll", "E5", `p${d} − x${d}`, t => sigmoid(t[`l${d}`]) - t[`x${d}`]]),
  ["g", "l1", "D5", "S1", t => t.S1, "S1"], ["g", "l2", "D5", "S2", t => t.S2, "S2"],
  ["C", "g", "D2", "1 − g²", t => 1 - t.g * t.g],
  ...latents(Z, j => [[`z${j}`, "C", "D5", `R${j}`, t => t[`R${j}`], `R${j}`]]),
  ...latents(Z, (j, { mu, v, sigma, eps, z }) => [
    [mu, z, "E6", "1", () => 1], [mu, `klm${j}`, "E6", mu, t => t[mu]],
    [sigma, z, "E7", eps, t => t[eps]], [v, sigma, "E7", `${sigma} / 2`, t => 0.5 * t[sigma]],
    [v, `kls${j}`, "E7", `(${sigma}² − 1) / 2`, t => 0.5 * Math.expm1(t[v])]]),
  ...latents(Z, j => [["h", `mu${j}`, "D5", `Wm${j}`, t => t[`Wm${j}`], `Wm${j}`],
    ["h", `v${j}`, "D5", `Wv${j}`, t => t[`Wv${j}`], `Wv${j}`]]),
  ["A", "h", "D2", "1 − h²", t => 1 - t.h * t.h],
  ["x1", "A", "D3", "U1", t => t.U1, "U1"], ["x2", "A", "D3", "U2", t => t.U2, "U2"],
].map(([from, to, tag, text, local, weight]) => ({ from, to, tag, text, local, weight, key: `${from}>${to}` }));

const known = {};
export function network(Z, likelihood) {
  return known[Z + likelihood] ??= {
    Z,
    parameters: parametersOf(Z),
    nodes: nodesOf(Z, likelihood === "gaussian"),
    edges: edgesOf(Z, likelihood === "gaussian"),
  };
}

// One object of numbers for each sample of each example: what the functions above are called with. `s` has parameters,
// beta, pixels x11 ... (example, pixel) and noise eps111 ... (example, sample, latent).
export function rowsOf(s) {
  const rows = [];
  for (let n = 1; n <= s.B; n++) for (let k = 1; k <= s.K; k++)
    rows.push({ ...s, n, k, x1: s[`x${n}1`], x2: s[`x${n}2`], eps1: s[`eps${n}${k}1`], eps2: s[`eps${n}${k}2`] });
  return rows;
}

// Forward: fills the rows and returns the loss, the mean over them (E4: 1/B and 1/K). A fault may replace formulas; a
// node that is `held` keeps its value in the rows that `held.where` names.
export function forward(net, rows, fault, held) {
  let sum = 0;
  for (const t of rows) {
    for (const { name, f } of net.nodes)
      t[name] = held && held.name === name && held.where(t) ? held.value : (fault?.nodes?.[name] ?? f)(t);
    sum += t.L;
  }
  return sum / rows.length;
}

// What stands before an arrow into L: the 1/B and 1/K of the means.
export const shareOf = (edge, { B, K }) => (edge.to !== "L" ? 1 : edge.from === "nll" ? 1 / (B * K) : 1 / B);

export const localOf = (edge, t, fault) => (fault?.locals?.[edge.key] ?? edge.local)(t);

// Backward: the cotangents of each row and its share of the parameters' gradients, after the first `steps` edges.
// What an example or all examples share gets the sum over rows: `total`.
export function backward(net, rows, fault, steps = net.edges.length) {
  return rows.map(t => {
    const d = { L: 1 / rows.length };
    for (let i = 0; i < steps; i++) {
      const edge = net.edges[i];
      d[edge.from] = (d[edge.from] ?? 0) + d[edge.to] * localOf(edge, t, fault);
      if (edge.weight) d[edge.weight] = d[edge.to] * t[edge.from]; // D3
    }
    for (const { name, bias } of net.nodes) if (bias && name in d) d[bias] = d[name]; // D4
    return d;
  });
}

// Which rows share a quantity: a node has one value a sample ("nk") or an example ("n"); all rows share L and weights.
export function sharing(net, name, n, k) {
  const of = net.nodes.find(node => node.name === name)?.of ?? "";
  return t => (of === "" || t.n === n) && (of !== "nk" || t.k === k);
}

export function total(rows, d, name, where) {
  let sum = 0;
  rows.forEach((t, i) => { if (where(t)) sum += d[i][name] ?? 0; });
  return sum;
}

// The gradient of all parameters, by name.
export function gradient(net, rows, fault) {
  const loss = forward(net, rows, fault), d = backward(net, rows, fault);
  const sums = Object.keys(net.parameters).map(name => [name, total(rows, d, name, () => true)]);
  return { loss, gradient: Object.fromEntries(sums) };
}
