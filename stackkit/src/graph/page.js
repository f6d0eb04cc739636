(() => {
  const svg = document.getElementById("graph"), view = document.getElementById("view");
  const about = document.getElementById("about"), search = document.getElementById("search");
  const width = +svg.dataset.width, height = +svg.dataset.height;
  const nodes = new Map([...document.querySelectorAll(".node")].map((n) => [n.dataset.id, n]));
  const links = [...document.querySelectorAll(".link")];
  const into = new Map(), outOf = new Map();
  for (const link of links) {
    const { from, to } = link.dataset;
    (into.get(to) || into.set(to, []).get(to)).push(link);
    (outOf.get(from) || outOf.set(from, []).get(from)).push(link);
  }
  let scale = 1, x = 0, y = 0, pinned = null;
  const draw = () => view.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
  const fit = () => { scale = 1; x = y = 0; draw(); };
  const point = (event) => {
    const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [p.x, p.y];
  };
  const zoom = (factor, [cx, cy]) => {
    const next = Math.min(12, Math.max(0.05, scale * factor));
    x = cx - (cx - x) * next / scale; y = cy - (cy - y) * next / scale; scale = next; draw();
  };
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), point(event));
  }, { passive: false });
  let drag = null, moved = false;
  svg.addEventListener("pointerdown", (event) => { drag = point(event); moved = false; });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [px, py] = point(event);
    if (!moved && Math.hypot(px - drag[0], py - drag[1]) < 3) return;
    moved = true; svg.classList.add("drag");
    x += px - drag[0]; y += py - drag[1]; drag = [px, py]; draw();
  });
  addEventListener("pointerup", () => { drag = null; svg.classList.remove("drag"); });
  const walk = (start, edges, end, mark) => {
    const seen = new Set(), open = [start];
    while (open.length) {
      for (const link of edges.get(open.pop()) || []) {
        link.classList.add("on"); if (mark) link.classList.add(mark);
        const next = link.dataset[end];
        if (!seen.has(next)) { seen.add(next); open.push(next); nodes.get(next).classList.add("on"); }
      }
    }
    return seen;
  };
  const dark = () => {
    svg.classList.remove("lit");
    for (const e of document.querySelectorAll(".on,.self,.uses")) e.classList.remove("on", "self", "uses");
    about.hidden = true;
  };
  const name = (id) => nodes.get(id).querySelector("title").textContent;
  const list = (title, ids) => {
    if (!ids.length) return;
    about.append(Object.assign(document.createElement("h3"), { textContent: title }));
    for (const id of ids.slice(0, 12)) about.append(Object.assign(document.createElement("div"), { textContent: name(id) }));
    if (ids.length > 12) about.append(`… and ${ids.length - 12} more`);
  };
  const light = (id) => {
    dark();
    svg.classList.add("lit");
    nodes.get(id).classList.add("on", "self");
    const needs = walk(id, into, "from"), users = walk(id, outOf, "to", "uses");
    about.replaceChildren(Object.assign(document.createElement("h2"), { textContent: name(id) }));
    list(`Needs ${needs.size}`, [...needs]);
    list(`Needed by ${users.size}`, [...users]);
    about.hidden = false;
  };
  for (const [id, node] of nodes) {
    node.addEventListener("pointerenter", () => { if (!drag && pinned === null && !search.value) light(id); });
    node.addEventListener("pointerleave", () => { if (pinned === null && !search.value) dark(); });
    node.addEventListener("click", (event) => {
      if (moved) return;
      event.stopPropagation(); pinned = pinned === id ? null : id; pinned === null ? dark() : light(id);
    });
  }
  svg.addEventListener("click", () => { if (!moved) { pinned = null; search.value = ""; dark(); } });
  search.addEventListener("input", () => {
    dark(); pinned = null;
    const text = search.value.trim().toLowerCase();
    if (!text) return;
    svg.classList.add("lit");
    for (const [id, node] of nodes) if (name(id).toLowerCase().includes(text)) node.classList.add("on");
  });
  // What would be too small to read as a whole begins at its upper left, in a size that can be read.
  const start = () => {
    const whole = Math.min(svg.clientWidth / width, svg.clientHeight / height);
    if (whole >= 0.4) return fit();
    fit(); scale = 0.8 / whole;
    const corner = new DOMPoint(0, 0).matrixTransform(svg.getScreenCTM().inverse());
    const top = new DOMPoint(0, svg.getBoundingClientRect().top).matrixTransform(svg.getScreenCTM().inverse());
    x = corner.x; y = top.y; draw();
  };
  start();
  document.getElementById("fit").addEventListener("click", fit);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") { pinned = null; search.value = ""; dark(); fit(); }
    if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
  });
})();
