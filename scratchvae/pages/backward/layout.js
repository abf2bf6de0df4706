// Where everything stands, by hand: one latent and two on a wide screen, one and two on a narrow screen.
// A place is the middle of a card; `other` lists the arrows whose words stand on their other side.

export const HALF = { width: 46, height: 42, given: 25 };        // half a card; cards of what is given are lower

const WIDE = {
  size: [1200, 530],
  x1: [52, 130], x2: [52, 350], A: [191, 180], h: [191, 325],
  mu1: [332, 140], v1: [332, 370], klm1: [470, 50], sigma1: [470, 370], kls1: [470, 480], eps1: [470, 250],
  z1: [610, 250], C: [746, 180], g: [746, 325], l1: [882, 140], l2: [882, 370], nll: [1018, 250], L: [1150, 250],
  stub: [40, 0],
  other: ["x1>A", "h>mu1", "h>v1", "g>l1", "g>l2", "z1>C", "eps1>z1", "sigma1>z1", "v1>kls1", "l2>nll"],
};
const TWO = {
  size: [1200, 812],
  x1: [50, 190], x2: [50, 500], A: [158, 240], h: [185, 405],
  mu1: [318, 105], v1: [318, 290], v2: [318, 520], mu2: [318, 705],
  klm1: [488, 50], sigma1: [488, 240], kls1: [488, 345], kls2: [488, 465], sigma2: [488, 570], klm2: [488, 760],
  eps1: [650, 85], z1: [650, 205], z2: [650, 605], eps2: [650, 725],
  C: [775, 405], g: [775, 555], l1: [894, 450], l2: [894, 660], nll: [1014, 555], L: [1150, 555],
  stub: [40, 0],
  other: ["x1>A", "h>v1", "h>mu2", "g>l1", "g>l2", "eps1>z1", "v1>kls1", "v2>sigma2", "sigma2>z2", "mu2>z2",
    "l2>nll", "mu2>klm2"],
};
const NARROW = {
  size: [380, 1432],
  x1: [105, 36], x2: [275, 36], A: [190, 150], h: [190, 302],
  mu1: [100, 442], v1: [272, 442], klm1: [53, 592], sigma1: [196, 592], kls1: [327, 592],
  z1: [160, 745], eps1: [312, 745], C: [190, 885], g: [190, 1037],
  l1: [86, 1165], l2: [294, 1165], nll: [190, 1250], L: [190, 1380],
  stub: [0, 34],
  other: ["x1>A", "h>mu1", "mu1>klm1", "v1>sigma1", "g>l1", "l2>nll", "eps1>z1"],
};
const NARROW_TWO = {                                            // as NARROW, each latent in a half of its own
  size: [760, 1432],
  x1: [295, 36], x2: [465, 36], A: [380, 150], h: [380, 302],
  mu1: [100, 442], v1: [272, 442], klm1: [53, 592], sigma1: [196, 592], kls1: [327, 592],
  mu2: [480, 442], v2: [652, 442], klm2: [433, 592], sigma2: [576, 592], kls2: [707, 592],
  z1: [160, 745], eps1: [312, 745], z2: [540, 745], eps2: [692, 745], C: [380, 885], g: [380, 1037],
  l1: [276, 1165], l2: [484, 1165], nll: [380, 1250], L: [380, 1380],
  stub: [0, 34],
  other: ["x1>A", "h>mu1", "mu1>klm1", "v1>sigma1", "h>mu2", "mu2>klm2", "v2>sigma2", "g>l1", "l2>nll", "eps1>z1",
    "eps2>z2"],
};

export const placesOf = (Z, narrow) => (Z === 2 ? narrow ? NARROW_TWO : TWO : narrow ? NARROW : WIDE);

const CHIP = /^(A|mu|v|C|l)\d?$/;                               // cards with a bias below them
const [CHIP_WIDTH, CHIP_HEIGHT] = [36, 15];                     // half of its width, all of its height

// How far along the way of dx, dy from the middle of a card its border lies.
function border(name, dx, dy, given) {
  const [right, down] = [Math.abs(dx || 1e-9), Math.abs(dy || 1e-9)];
  const chip = HALF.height + CHIP_HEIGHT;
  if (dy > 0 && CHIP.test(name) && chip * right < CHIP_WIDTH * down) return chip / down;
  return Math.min(HALF.width / right, (given ? HALF.given : HALF.height) / down);
}

// A short arrow from a KL's card to a small L: both ends, and where its words stand.
function stub([x, y], [dx, dy]) {
  const [x0, y0] = [x + (dx && HALF.width + 3), y + (dy && HALF.height + 3)];
  return { ends: [x0, y0, x0 + dx, y0 + dy], words: dx ? [x0 + dx / 2, y - 16] : [x + 22, y0 + 14] };
}

// The ends of an arrow, three units off the cards, and where its words stand: beside its middle, `room` wide.
export function arrow(places, from, to, given, room) {
  if (from.startsWith("kl")) return stub(places[from], places.stub);
  const [[x0, y0], [x1, y1]] = [places[from], places[to]];
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = Math.hypot(dx, dy);
  const p = border(from, dx, dy, given) + 3 / length;
  const q = 1 - border(to, -dx, -dy) - 3 / length;
  const side = (places.other.includes(`${from}>${to}`) ? -1 : 1) / length;
  const [nx, ny] = [side * dy, -side * dx];
  const away = (Math.abs(nx) * (room + 6)) / 2 + Math.abs(ny) * 15 + 2;
  const words = [x0 + ((p + q) / 2) * dx + away * nx, y0 + ((p + q) / 2) * dy + away * ny];
  return { ends: [x0 + p * dx, y0 + p * dy, x0 + q * dx, y0 + q * dy], words };
}
