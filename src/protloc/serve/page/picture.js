// The field on a canvas: stains added up in their colours, a heat map over them, zoom.

const HEAT = 0.55; // how strongly the hottest place is painted over

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

  setHeat(heat) {
    this.heat = heat;
    this.draw();
  }

  draw() {
    if (!this.stains.length) return;
    const side = this.stains[0].side;
    this.whole.width = this.whole.height = side;
    const context = this.whole.getContext("2d");
    const image = context.createImageData(side, side);
    const sums = new Float32Array(3 * side * side);
    for (const stain of this.stains.filter((each) => each.on)) add(sums, stain);
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

  zoomBy(factor) {
    this.zoom = Math.min(16, Math.max(1, this.zoom * factor));
    if (this.zoom === 1) this.centre = [0.5, 0.5];
    this.#cut();
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
    const half = 0.5 / zoom;
    const [x, y] = this.centre.map((at) => (Math.min(1 - half, Math.max(half, at)) - half) * whole.width);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = zoom < 4;
    context.drawImage(whole, x, y, side, side, 0, 0, canvas.width, canvas.height);
  }

  #wheel(event) {
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2);
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

function add(sums, stain) {
  const scale = 1 / Math.max(stain.brightest, 1);
  const [red, green, blue] = stain.colour;
  const weight = stain.colour.filter((part) => part > 0).length > 1 ? 0.55 : 1; // mixed colours bury the others
  for (let pixel = 0, to = 0; pixel < stain.grey.length; pixel += 1, to += 3) {
    const light = Math.min(stain.grey[pixel] * scale, 1) * weight;
    sums[to] += red * light;
    sums[to + 1] += green * light;
    sums[to + 2] += blue * light;
  }
}

function paint(sums, heat, side) {
  for (let y = 0, to = 0; y < side; y += 1) {
    const row = Math.floor((y * heat.side) / side) * heat.side;
    for (let x = 0; x < side; x += 1, to += 3) {
      const hot = heat.grey[row + Math.floor((x * heat.side) / side)] / 255;
      const over = HEAT * hot;
      sums[to] = sums[to] * (1 - over) + 255 * over;
      sums[to + 1] = sums[to + 1] * (1 - over) + 255 * over * Math.max(0, 2 * hot - 1);
      sums[to + 2] = sums[to + 2] * (1 - over) + 255 * over * (1 - hot) * 0.8;
    }
  }
}

// A grey PNG in base64 to its pixels.
export async function greyOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
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

// The grey level that all but the brightest 0.3 % stay below: full contrast.
export function brightestOf(grey) {
  const counts = new Uint32Array(256);
  for (const level of grey) counts[level] += 1;
  let left = 0.003 * grey.length;
  for (let level = 255; level > 8; level -= 1) {
    left -= counts[level];
    if (left < 0) return level;
  }
  return 8;
}
