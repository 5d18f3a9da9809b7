"use strict";
// Lets arrow keys and the mouse go through what a picture shows, and tells in words what is there.
// boxes: of one picture, in order of time: [x, y, width, height, index of what it belongs to]; those after *last* are
// further parts of what begins in another row.
function walk(scroll, svg, readout, boxes, last, tell) {
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  cursor.setAttribute("class", "cursor");
  let at = -1;
  const show = (index, follow) => {
    const [x, y, width, height] = boxes[index];
    const box = { x, y, width, height };
    for (const name in box) cursor.setAttribute(name, box[name]);
    svg.append(cursor);
    readout.replaceChildren(...tell(boxes[index][4]));
    if (follow) {
      at = index;
      cursor.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  };
  const beside = (down) => {
    const [x, y, width] = boxes[at];
    let best = at;
    let least = Infinity;
    boxes.forEach((one, index) => {
      if (index > last || (down ? one[1] <= y : one[1] >= y)) return;
      const far = Math.abs(one[1] - y) * 1000 + Math.abs(one[0] + one[2] / 2 - x - width / 2);
      if (far < least) [least, best] = [far, index];
    });
    return best;
  };
  if (last >= 0) { // the newest first, where there is no room for all
    const [x, y, width] = boxes[last];
    const right = new DOMPoint(x + width, y).matrixTransform(svg.getScreenCTM()).x;
    scroll.scrollLeft += right + 8 - scroll.getBoundingClientRect().right;
  }
  const moves = {
    ArrowRight: () => Math.min(last, at + 1),
    ArrowLeft: () => Math.max(0, at - 1),
    ArrowDown: () => beside(true),
    ArrowUp: () => beside(false),
    Home: () => 0,
    End: () => last,
  };
  scroll.addEventListener("focus", () => scroll.matches(":focus-visible") && last >= 0 && show(at < 0 ? last : at, true));
  scroll.addEventListener("keydown", (event) => {
    if (!(event.key in moves) || last < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    show(at < 0 ? last : moves[event.key](), true);
  });
  const point = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const index = boxes.findLastIndex(
      ([x, y, width, height]) => at.x >= x && at.x < x + width && at.y >= y && at.y < y + height,
    );
    if (index >= 0) show(index, false);
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point); // a finger
}

const iso = (seconds) => new Date(seconds * 1000).toISOString().replace(/(:00)?\.000Z$/, "Z");
const some = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

const data = document.getElementById("cells");
if (data) {
  const { kinds, cells, more } = JSON.parse(data.textContent);
  const scroll = document.querySelector(".calendar");
  const boxes = [...cells.map((one, index) => [...one.slice(0, 4), index]), ...more];
  walk(scroll, scroll.querySelector(".cells"), document.getElementById("cell"), boxes, cells.length - 1, (index) => {
    const [start, length, kind, events, records, times, ids, run] = cells[index].slice(4);
    const parts = [`${iso(start)} to ${iso(start + length)}: ${kinds[kind]}.`];
    if (ids) {
      const found = events === null ? "Number of events not known" : some(events, "event");
      parts.push(` ${found}, ${some(records, "record")} written${times > 1 ? ` in ${times} goes` : ""}. Bundle ${ids}.`);
      const entry = document.getElementById(`r${run}`);
      if (entry) {
        const link = document.createElement("a");
        link.href = `#r${run}`;
        link.textContent = "Its last run";
        parts.push(" ", link);
      }
    }
    return parts;
  });
}

for (const figure of document.querySelectorAll("figure")) {
  const bars = [...figure.querySelectorAll("g")];
  const boxes = bars.map((bar, index) => {
    const area = bar.querySelector("rect");
    return [...["x", "y", "width", "height"].map((name) => Number(area.getAttribute(name))), index];
  });
  const tell = (index) => [bars[index].querySelector("title").textContent];
  walk(figure.querySelector(".scroll"), figure.querySelector("svg.bars"), figure.querySelector(".readout"), boxes, boxes.length - 1, tell);
}
