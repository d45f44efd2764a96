"use strict";
// Unpacks the points (layout: ceco3d/visualization/page.py) and puts them into drawing order.

const meta = JSON.parse(document.getElementById("meta").textContent);
const byId = id => document.getElementById(id);
const NONE = meta.none; // the label of points without one
const UNITS = 65535; // positions are whole numbers from 0 to UNITS along each side of the bounding box

async function unpack() {
  const text = atob(byId("points").textContent);
  const packed = Uint8Array.from(text, letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  let offset = 0;
  const take = (Kind, columns) => {
    const bytes = meta.points * columns * Kind.BYTES_PER_ELEMENT;
    offset += bytes;
    return new Kind(buffer.slice(offset - bytes, offset));
  };
  const Label = NONE > 255 ? Uint16Array : Uint8Array;
  return {
    position: take(Uint16Array, 3),
    color: take(Uint8Array, 3),
    normal: meta.normals ? take(Int8Array, 3) : null,
    labels: meta.panels.map(() => take(Label, 1)),
    confidence: meta.panels.map(panel => panel.confidence ? take(Uint8Array, 1) : null),
  };
}

// Index of the i-th point to draw. Any leading part of this order is spread evenly over the scene.
const STRIDE = (() => {
  const divisor = (a, b) => b ? divisor(b, a % b) : a;
  let stride = Math.max(1, Math.round(meta.points * 0.618034));
  while (divisor(meta.points, stride) !== 1) stride++;
  return stride;
})();
const inOrder = i => (i * STRIDE) % meta.points;

// Packs rows of four values, aligned for GPUs, in drawing order: the columns of `parts`, each (M * width), then zeros.
function rows(Kind, parts) {
  const packed = new Kind(4 * meta.points);
  let column = 0;
  for (const part of parts) {
    const width = part.length / meta.points;
    for (let i = 0; i < meta.points; i++) {
      for (let j = 0; j < width; j++) packed[4 * i + column + j] = part[inOrder(i) * width + j];
    }
    column += width;
  }
  return packed;
}

// Meters in the frame of the scene, and back to whole units of the bounding box.
const SHORTEST = Math.max(...meta.extent) / UNITS; // the error of a position, at most
const DECIMALS = Math.min(Math.max(Math.ceil(-Math.log10(SHORTEST)), 0), 9);
const SHOWN = Math.min(DECIMALS, 3); // decimals of what people read: millimeters, fewer in large scenes
const toMeters = (unit, axis) => meta.low[axis] + unit / UNITS * meta.extent[axis];
const toUnits = (meters, axis) => (meters - meta.low[axis]) / meta.extent[axis] * UNITS;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
