// Arrays from the text that `pack` of packing.py wrote: base 85, then zlib's compression, then numbers times a step.

const CODE = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
const KINDS = { i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array };

function base85(text) {
  const value = new Uint8Array(128).fill(84), groups = Math.ceil(text.length / 5);
  const bytes = new DataView(new ArrayBuffer(4 * groups));
  [...CODE].forEach((digit, i) => { value[digit.charCodeAt(0)] = i; });
  for (let i = 0; i < groups; i++) {
    let number = 0;                                    // the last group lacks digits, which count as 84
    for (let k = 5 * i; k < 5 * i + 5; k++) number = 85 * number + (k < text.length ? value[text.charCodeAt(k)] : 84);
    bytes.setUint32(4 * i, number);
  }
  return bytes.buffer.slice(0, Math.floor(text.length * 4 / 5));
}

// A promise of {name: {values, shape}}: float64 numbers, in C order.
export function unpack({ parts, text }) {
  const inflated = new Blob([base85(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(inflated).arrayBuffer().then(raw => {
    let start = 0;
    return Object.fromEntries(parts.map(([name, kind, shape, step]) => {
      const numbers = new KINDS[kind](raw, start, shape.reduce((a, b) => a * b, 1));
      start += numbers.byteLength;
      return [name, { values: Float64Array.from(numbers, number => number * step), shape }];
    }));
  });
}
