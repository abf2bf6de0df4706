// Finite differences that know how wrong they may be, as in scratchvae/gradcheck/numerical.py: central differences with
// steps h, h/2 and h/4, extrapolated twice. What the second extrapolation changes bounds the rest; rounding is counted.
import { forward } from "./vae.js";

const EPSILON = 2 ** -52;

// The loss as a function of one parameter or node, at the numbers in `rows`, which it leaves changed.
export function lossAlong(net, rows, fault, name, where) {
  if (name in net.parameters)
    return value => {
      for (const t of rows) t[name] = value;
      return forward(net, rows, fault);
    };
  return value => forward(net, rows, fault, { name, value, where });
}

export function difference(f, x) {
  let best = { value: NaN, bound: Infinity };
  for (const step of [2 ** -8, 2 ** -11, 2 ** -14]) {
    const h = step * Math.max(1, Math.abs(x));
    let size = 0;
    const [a, b, c] = [h, h / 2, h / 4].map(part => {
      const up = f(x + part);
      const down = f(x - part);
      size = Math.max(size, Math.abs(up), Math.abs(down));
      return (up - down) / (x + part - (x - part));
    });
    const once = [(4 * b - a) / 3, (4 * c - b) / 3];
    const value = (16 * once[1] - once[0]) / 15;
    const bound = 2 * Math.abs(once[1] - once[0]) + (64 * EPSILON * (1 + size)) / h;
    if (bound < best.bound) best = { value, bound };
    if (bound < 1e-7 * Math.abs(value)) break;
  }
  return best;
}

export const agrees = (d, { value, bound }) => Math.abs(d - value) <= bound + 16 * EPSILON * Math.abs(d);

export const central = (f, x, h) => (f(x + h) - f(x - h)) / (x + h - (x - h));

// The error of a plain central difference for steps from 1e-12 to 1: what the curve over h shows.
export function errorOverStep(f, x, exact) {
  const steps = Array.from({ length: 73 }, (_, i) => 10 ** (i / 6 - 12));
  return steps.map(h => ({ h, error: Math.abs(central(f, x, h) - exact) }));
}
