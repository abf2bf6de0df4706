// The codes of the eight examples: q(z|x) of the encoder beside the true posterior p(z|x) of the decoder.
import { $, color, tell } from "../shared/page.js";
import { line } from "../shared/charts.js";
import { axes, dot, legend } from "./charts.js";
import { decode } from "./estimators.js";
import { state } from "./state.js";
import { DATA, dataRows } from "./training.js";
import { forward } from "./vae.js";

// log p(x | z) + log p(z) on a grid of z, up to a constant.
function logPosterior(t, Z, grid) {
  const eps = Z === 1 ? Float64Array.from(grid) : Float64Array.from(grid.flatMap(a => grid.flatMap(b => [a, b])));
  const { nll, z } = decode({ ...t, mu1: 0, mu2: 0, v1: 0, v2: 0, beta: 0 }, Z, eps);
  return nll.map((cost, i) => -cost - 0.5 * (z[i * Z] ** 2 + (Z === 2 ? z[i * Z + 1] ** 2 : 0)));
}

function drawLine(rows) {
  const grid = Array.from({ length: 121 }, (_, i) => (i - 60) / 20);
  const chart = axes($("codes"), [-3, 3], [0, DATA.length + 0.6], { xLabel: "z", yLabel: "examples", yTicks: [] });
  rows.forEach((t, i) => {
    const log = logPosterior(t, 1, grid);
    const top = Math.max(...log);
    const p = log.map(each => Math.exp(each - top));
    const area = p.reduce((a, b) => a + b, 0) / 20;
    const q = grid.map(z => Math.exp(-0.5 * ((z - t.mu1) / t.sigma1) ** 2) / t.sigma1 / Math.sqrt(2 * Math.PI));
    line(chart, grid.map((z, k) => [z, i + Math.min(1.5, 0.9 * q[k])]), "train");
    line(chart, grid.map((z, k) => [z, i + Math.min(1.5, (0.9 * p[k]) / area)]), "test", [4, 3]);
  });
  return chart;
}

// Where the surface on a square grid crosses the level, cell by cell (marching squares without the ambiguous cases).
function contour({ c, x, y }, grid, values, level) {
  const n = grid.length;
  c.beginPath();
  for (let i = 0; i + 1 < n; i++)
    for (let k = 0; k + 1 < n; k++) {
      const corners = [[i, k], [i + 1, k], [i + 1, k + 1], [i, k + 1]];
      const cross = [];
      corners.forEach(([a, b], e) => {
        const [a2, b2] = corners[(e + 1) % 4];
        const u = values[a * n + b] - level;
        const w = values[a2 * n + b2] - level;
        if (u * w < 0)
          cross.push([grid[a] + (u / (u - w)) * (grid[a2] - grid[a]), grid[b] + (u / (u - w)) * (grid[b2] - grid[b])]);
      });
      if (cross.length === 2) {
        c.moveTo(x(cross[0][0]), y(cross[0][1]));
        c.lineTo(x(cross[1][0]), y(cross[1][1]));
      }
    }
  c.stroke();
}

function drawPlane(rows) {
  const grid = Array.from({ length: 49 }, (_, i) => (i - 24) / 8);
  const chart = axes($("codes"), [-3, 3], [-3, 3], { ratio: 1.1, xLabel: "z₁", yLabel: "z₂" });
  const { c, x, y } = chart;
  for (const t of rows) {
    const log = logPosterior(t, 2, grid);
    c.strokeStyle = color("test");
    c.setLineDash([4, 3]);
    c.lineWidth = 1.6;
    contour(chart, grid, log, log.reduce((a, b) => Math.max(a, b)) - 0.5);
    c.setLineDash([]);
    c.strokeStyle = color("train");
    c.lineWidth = 2;
    c.beginPath();
    c.ellipse(x(t.mu1), y(t.mu2), Math.abs(x(t.sigma1) - x(0)), Math.abs(y(t.sigma2) - y(0)), 0, 0, 7);
    c.stroke();
    dot(chart, [t.mu1, t.mu2], "train", false, 3);
  }
  return chart;
}

export function drawCodes(net) {
  const rows = dataRows(state, 0);
  forward(net, rows);
  legend(net.Z === 1 ? drawLine(rows) : drawPlane(rows), { "q(z|x)": "value", "p(z|x) – –": "test" });
  const rowsUp = "One row an example, from (0, 1) below to (1, 0) above";
  const shown = net.Z === 1 ? rowsUp : "Lines half a nat below the top";
  tell(
    "codes",
    `${shown}: q, which the encoder says, and the true posterior, which the decoder implies. ` +
      "Where two pixels do not pay for a code, q collapses to the prior: try β = 0.1.",
  );
}
