// The field on a canvas: stains added up in their colours, a heat map over them, zoom.

import { bytesOf } from "./pieces.js";

const DIMMED = 0.5; // of its light keeps the protein, in grey, under a heat map
const DEEPEST = 0.9; // how much of it the hottest place covers
const FAINT = 0.5; // power that shows faint heat beside strong, as in the figures of explain
const RAMP = [[90, 20, 110], [170, 45, 95], [224, 80, 42], [252, 192, 42], [252, 255, 164]]; // as .ramp in page.css

export class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.stains = [];
    this.heat = null;
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.whole = document.createElement("canvas");
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("pointermove", (event) => event.buttons && this.#drag(event));
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  }

  // stains: [{name, grey, side, on, colour: [r, g, b], brightest}]
  show(stains) {
    this.stains = stains;
    this.heat = null;
    this.draw();
  }

  // protein: the name of the stain that is seen, in grey, under the heat
  setHeat(heat, protein) {
    this.heat = heat;
    this.protein = protein;
    this.draw();
  }

  draw() {
    if (!this.stains.length) return;
    const side = this.stains[0].side;
    this.whole.width = this.whole.height = side;
    const context = this.whole.getContext("2d");
    const image = context.createImageData(side, side);
    const sums = new Float32Array(3 * side * side);
    const mixes = this.stains.length > 1;
    const shown = this.stains.filter((each) => (this.heat ? each.name === this.protein : each.on));
    for (const stain of shown) add(sums, stain, mixes);
    if (this.heat) paint(sums, this.heat, side);
    for (let place = 0, from = 0; place < image.data.length; place += 4, from += 3) {
      image.data[place] = sums[from];
      image.data[place + 1] = sums[from + 1];
      image.data[place + 2] = sums[from + 2];
      image.data[place + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    this.#cut();
  }

  // at: the place on the canvas, 0..1, that stays where it is
  zoomBy(factor, at = [0.5, 0.5]) {
    const before = this.zoom;
    this.zoom = Math.min(16, Math.max(1, before * factor));
    const kept = 1 / before - 1 / this.zoom;
    this.moveBy((at[0] - 0.5) * kept * this.zoom, (at[1] - 0.5) * kept * this.zoom);
    this.canvas.classList.toggle("near", this.zoom > 1);
  }

  moveBy(right, down) {
    const half = 0.5 / this.zoom;
    this.centre = [this.centre[0] + right / this.zoom, this.centre[1] + down / this.zoom].map((at) =>
      Math.min(1 - half, Math.max(half, at)),
    );
    this.#cut();
  }

  #cut() {
    const { canvas, whole, zoom } = this;
    const side = whole.width / zoom;
    const [x, y] = this.centre.map((at) => (at - 0.5 / zoom) * whole.width);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = zoom < 4;
    context.drawImage(whole, x, y, side, side, 0, 0, canvas.width, canvas.height);
  }

  #wheel(event) {
    if (!event.ctrlKey && document.activeElement !== this.canvas) return; // the page scrolls past it
    event.preventDefault();
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, [(event.clientX - left) / width, (event.clientY - top) / height]);
  }

  #drag(event) {
    this.moveBy(-event.movementX / this.canvas.clientWidth, -event.movementY / this.canvas.clientHeight);
  }

  #key(event) {
    const moves = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
    if (event.key in moves) this.moveBy(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.zoomBy(0);
    else return;
    event.preventDefault();
  }
}

function add(sums, stain, mixes) {
  const scale = 1 / Math.max(stain.brightest - stain.darkest, 1);
  const [red, green, blue] = stain.colour;
  const mixed = mixes && stain.colour.filter((part) => part > 0).length > 1;
  const weight = mixed ? 0.55 : 1; // or mixed colours bury the others
  for (let pixel = 0, to = 0; pixel < stain.grey.length; pixel += 1, to += 3) {
    const light = Math.min(Math.max(stain.grey[pixel] - stain.darkest, 0) * scale, 1) * weight;
    sums[to] += red * light;
    sums[to + 1] += green * light;
    sums[to + 2] += blue * light;
  }
}

// What was drawn in dim grey, and the heat over it in the colours of the ramp.
function paint(sums, heat, side) {
  for (let y = 0, to = 0; y < side; y += 1) {
    const row = Math.floor((y * heat.side) / side) * heat.side;
    for (let x = 0; x < side; x += 1, to += 3) {
      const hot = (heat.grey[row + Math.floor((x * heat.side) / side)] / 255) ** FAINT;
      const over = DEEPEST * hot;
      const grey = DIMMED * Math.min(Math.max(sums[to], sums[to + 1], sums[to + 2]), 255);
      const [red, green, blue] = ramp(hot);
      sums[to] = grey * (1 - over) + red * over;
      sums[to + 1] = grey * (1 - over) + green * over;
      sums[to + 2] = grey * (1 - over) + blue * over;
    }
  }
}

function ramp(hot) {
  const place = Math.min(hot * (RAMP.length - 1), RAMP.length - 1.001);
  const [from, to] = [RAMP[Math.floor(place)], RAMP[Math.floor(place) + 1]];
  return from.map((part, channel) => part + (to[channel] - part) * (place % 1));
}

// Where a heat map is hottest, in words.
export function hottestOf({ grey, side }) {
  const place = grey.indexOf(grey.reduce((most, level) => Math.max(most, level), 0));
  const third = (at) => Math.min(2, Math.floor((3 * at) / side));
  const across = ["left", "", "right"][third(place % side)];
  const down = ["top", "", "bottom"][third(Math.floor(place / side))];
  return [down, across].filter(Boolean).join(" ") || "centre";
}

// A grey PNG in base64 to its pixels.
export async function greyOf(base64) {
  const bitmap = await createImageBitmap(new Blob([bytesOf(base64)], { type: "image/png" }));
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const grey = new Uint8Array(bitmap.width * bitmap.height);
  for (let pixel = 0; pixel < grey.length; pixel += 1) grey[pixel] = data[4 * pixel];
  return { grey, side: bitmap.width };
}

// The grey levels shown black and bright: a hundredth of the pixels is darker, 0.3 % are brighter, as in the figures.
export function contrastOf(grey) {
  const sorted = Uint8Array.from(grey).sort();
  const level = (share) => sorted[Math.floor(share * (sorted.length - 1))];
  const darkest = level(0.01);
  return { darkest, brightest: Math.max(level(0.997), darkest + 8) };
}
