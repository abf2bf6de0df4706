// The formulas of vae.js as text for people: names become signs, or numbers.
import { format } from "../shared/page.js";
import { state } from "./state.js";

const SIGNS = { mu: "μ", sigma: "σ", eps: "ε", beta: "β", klm: "KLμ", kls: "KLσ", Wm: "Wμ", cm: "cμ" };
const OF_LATENTS = /^(mu|v|sigma|z|eps|klm|kls|Wm|Wv|cm|cv|R)1$/;

// μ, or μ₁ if there are two latents.
export function sign(name) {
  const [, word, digit] = name.match(/^([A-Za-z]+)(\d?)$/);
  return (SIGNS[word] ?? word) + (state.Z === 1 && OF_LATENTS.test(name) ? "" : digit && "₀₁₂"[digit]);
}

export const signs = text => text.replace(/[A-Za-z]+\d?/g, sign);

// A local derivative as a factor: sums and quotients in brackets.
export const factor = text => (text.includes(" ") ? `(${signs(text)})` : signs(text));

// A number in a product or sum: negative ones in brackets.
export const bracket = x => (x < 0 ? `(${format(x)})` : format(x));

// The formula with the numbers of `t` in the places of the names, and a sign for every product.
export function numbers(text, t) {
  return text
    .replace(/([\w²)]) (?=[A-Za-z(])/g, "$1 × ")
    .replace(/[A-Za-z]+\d?/g, name => (name in t ? bracket(t[name]) : name))
    .replace(/\((\([^()]*\))\)/g, "$1");
}
