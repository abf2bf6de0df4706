// What the tests ask a page in the browser. The last two ask any page.
window.checks = {
  // The page's loss, gradient and an estimator's gradient of the head, for each case of test_pages.py.
  numbers(cases) {
    const { network, rowsOf, gradient } = modules["backward/vae.js"];
    const { decode, headGradients, paired } = modules["backward/estimators.js"];
    return cases.map(s => {
      const rows = rowsOf(s);
      const found = gradient(network(s.Z, s.likelihood), rows);
      const draws = Float64Array.from(s.draws);
      const eps = s.estimator === "antithetic" ? paired(draws, s.samples, s.Z) : draws;
      const head = headGradients(s.estimator, decode(rows[0], s.Z, eps), s.samples);
      return { loss: found.loss, gradient: s.names.map(name => found.gradient[name]), head: [...head] };
    });
  },

  // The page's state, loss and gradient with each fault there, and the faults that the page has words for.
  faults() {
    const { state } = modules["backward/state.js"];
    const { FAULTS } = modules["backward/faults.js"];
    const { gradient, network, rowsOf } = modules["backward/vae.js"];
    const found = Object.entries(FAULTS).map(([name, fault]) => [
      name,
      gradient(network(1, "bernoulli"), rowsOf(state), fault),
    ]);
    return [{ ...state }, Object.fromEntries(found), Object.keys(modules["shared/page.js"].data.museum)];
  },

  // The exact expectations of the head's gradient, of the ELBO and of the bound of two samples.
  expectations() {
    const { expectedOfBound } = modules["backward/estimators.js"];
    const { state, compute } = modules["backward/state.js"];
    return [{ ...state }, ...[1, 2].map(K => [...expectedOfBound(compute().at, state.Z, K)])];
  },

  // Right gradients that a finite difference accuses, in states from ordinary ones to the ends of all ranges.
  accused() {
    const { compute, rangeOf, START, state } = modules["backward/state.js"];
    const { agrees, difference } = modules["backward/differences.js"];
    const { uniform } = modules["backward/estimators.js"];
    const found = { accused: [], judged: 0 };
    for (let i = 0; i < 120; i++) {
      const [Z, B, K] = [0, 1, 2].map(bit => 1 + ((i >> bit) % 2));
      Object.assign(state, START, { Z, B, K, likelihood: i % 5 ? "bernoulli" : "gaussian" });
      Object.keys(START)
        .filter(key => /^(beta|x|eps|[UWR]|c[mv]|[aS]|[rs]\d?$)/.test(key))
        .forEach((key, k) => {
          const [low, high] = rangeOf(key);
          if (typeof START[key] === "number")
            state[key] = low + (high - low) * (0.5 + [0.2, 0.4, 1][i % 3] * (uniform(i, k) - 0.5));
        });
      const step = compute();
      for (const name of [...Object.keys(step.net.parameters), ...step.net.nodes.map(node => node.name)]) {
        const { f, x } = step.along(name);
        if (!agrees(step.cotangent(name), difference(f, x))) found.accused.push([i, name]);
        found.judged++;
      }
    }
    return found;
  },

  // Texts of the graph (if there is one) that overlap, leave it or their card, texts that are cut, a page too wide.
  crowded() {
    const bad = new Set();
    const box = node => node.getBoundingClientRect();
    const name = node => node.textContent.trim().slice(0, 30);
    const all = selector => [...document.querySelectorAll(selector)];
    const over = (p, q, across, down) =>
      Math.min(p.right, q.right) - Math.max(p.left, q.left) > across &&
      Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > down;
    const within = (p, q) => p.left >= q.left && p.right <= q.right;
    const texts = all("#graph text").filter(node => node.textContent.trim());
    texts.forEach((node, i) => {
      if (!within(box(node), box(node.ownerSVGElement))) bad.add(`${name(node)} leaves the graph`);
      for (const other of texts.slice(i + 1))
        if (over(box(node), box(other), 1, 3.5)) bad.add(`${name(node)} | ${name(other)}`);
    });
    for (const card of all("#graph .card, #graph .chip")) {
      const border = box(card.querySelector("rect"));
      const [first, second] = card.querySelectorAll("text.name, text.v");
      if (second?.textContent && box(second).left - box(first).right < 4) bad.add(`${name(card)}: no room`);
      for (const node of card.querySelectorAll("text"))
        if (!within(box(node), border)) bad.add(`${name(node)} leaves its card`);
      for (const node of texts.filter(text => text.closest(".edge")))
        if (over(border, box(node), 1, 2)) bad.add(`${name(node)} under ${name(card)}`);
    }
    for (const node of all("p, button, label, output, h1, h2, h3, td, th, pre, select, span"))
      if (
        node.getClientRects().length &&
        getComputedStyle(node).display !== "inline" &&
        node.scrollWidth > node.clientWidth + 1
      )
        bad.add(`cut: ${name(node) || node.id}`);
    if (document.documentElement.scrollWidth > innerWidth) bad.add(`${document.documentElement.scrollWidth} wide`);
    return [...bad];
  },

  // Texts whose contrast with what is behind them is below 4.5 (WCAG 2, AA).
  faint() {
    const bad = new Set();
    const canvas = document.createElement("canvas").getContext("2d");
    const luminance = color => {
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      const linear = [...canvas.getImageData(0, 0, 1, 1).data].map(c =>
        c <= 10 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const paper = node => {
      const box = node.closest(".card")?.querySelector(".box");
      if (box) return getComputedStyle(box).fill;
      while (getComputedStyle(node).backgroundColor === "rgba(0, 0, 0, 0)") node = node.parentElement;
      return getComputedStyle(node).backgroundColor;
    };
    for (const node of document.querySelectorAll("main *")) {
      const own = [...node.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.textContent.trim());
      if (!own || !node.getClientRects().length || node.disabled || /^OPT/.test(node.tagName)) continue;
      const ink = getComputedStyle(node)[node instanceof SVGElement ? "fill" : "color"];
      const [dark, light] = [ink, paper(node)].map(luminance).sort((p, q) => p - q);
      const ratio = (light + 0.05) / (dark + 0.05);
      if (ratio < 4.5)
        bad.add(`${node.textContent.trim().slice(0, 20)}: ${ink} on ${paper(node)} is ${ratio.toFixed(1)}`);
    }
    return [...bad];
  },
};
