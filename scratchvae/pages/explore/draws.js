// Draws from the prior beside draws from a fit to q(z), where the codes really lie.
import { $, data, format, put } from "../shared/page.js";
import { drawMixture, makeRandom } from "./arithmetic.js";
import { gallery, picture } from "./pictures.js";

const N = 12;

export function makeDraws({ model, arrays, state, change }) {
  const prior = gallery($("prior"), N, "Draw from the prior"), fit = gallery($("fit"), N, "Draw from the fit");
  let last = null;
  $("redraw").onclick = () => change({ draws: state.draws + 1 });
  const [kl, error] = data.mixture_kl.map(nats => format(nats, 2));
  put($("apart"), `KL(fit ‖ prior) = ${kl} ± ${error} nats: so much do the places differ.`);
  return { draw() {
    if (last === `${state.draws} ${state.label}`) return;
    last = `${state.draws} ${state.label}`;
    const random = makeRandom(state.draws);
    for (const canvas of prior) picture(canvas, model.decode(random.normals(data.n_latent)));
    for (const canvas of fit) picture(canvas, model.decode(drawMixture(arrays, random, data.n_latent)));
  } };
}
