(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { steps, path } = data;
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const element = (name, attributes, parent, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent?.append(made);
    return made;
  };
  const html = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // Durations as people say them.
  const span = (ms) => {
    if (ms < 0.95) return `${Math.max(ms, 0).toFixed(ms < 0.0095 ? 0 : 2)} ms`;
    if (ms < 999.5) return `${ms.toFixed(ms < 9.95 ? 1 : 0)} ms`;
    if (ms < 59950) return `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
    const s = Math.round(ms / 1000), m = Math.floor(s / 60);
    return m < 60 ? `${m} min ${s % 60} s` : `${Math.floor(m / 60)} h ${m % 60} min`;
  };
  const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;
  const colour = (step) => step.outcome === "failed" ? "var(--failed)" : `var(--${step.verb || "record"})`;
  const parts = (urn) => { const at = urn.indexOf("::"); return [urn.slice(0, at), urn.slice(at + 2)]; };
  for (const [index, step] of steps.entries()) {
    step.index = index;
    [step.type, step.name] = parts(step.urn);
    step.short = step.type.split(":").pop();
    step.took = step.ended === undefined ? undefined : step.ended - step.began;
    step.waited = step.began === undefined ? 0 : step.began - step.ready;
    step.retries = (step.marks || []).filter((mark) => mark[3] === "retry");
    step.hooks = (step.marks || []).filter((mark) => mark[3] === "hook");
    step.text = `${step.urn} ${step.verb} ${step.outcome}`.toLowerCase();
  }
  const ran = steps.filter((step) => step.took !== undefined);

  // What the head says.
  const head = () => {
    $("title").querySelector("h1").textContent = `${data.operation} of ${data.stack}`;
    const outcome = $("outcome");
    outcome.textContent = data.outcome;
    if (["failed", "cancelled", "cut off"].includes(data.outcome)) outcome.className = "bad";
    if (["not begun", "nothing to do"].includes(data.outcome)) outcome.className = "calm";
    $("when").textContent = new Date(data.made * 1000).toLocaleString();
    const figures = [];
    const figure = (name, value, kind = "") => figures.push(html("div", { className: kind }, html("dt", { textContent: name }), html("dd", { textContent: value })));
    figure("whole run", span(data.took));
    if (ran.length) figure("applying", span(data.span));
    const failed = steps.filter((step) => step.outcome === "failed").length;
    const skipped = steps.filter((step) => step.outcome === "skipped").length;
    figure(`done${data.unchanged ? `, ${data.unchanged.toLocaleString("en")} unchanged` : ""}`, count(steps.filter((step) => step.outcome === "done").length, "step"));
    if (failed) figure("failed", count(failed, "step"), "bad");
    if (skipped) figure("left out", count(skipped, "step"), "bad");
    if (ran.length) {
      const work = ran.reduce((sum, step) => sum + step.took, 0);
      figure("at most at once", count(data.lanes, "step"));
      if (data.lanes > 1 && data.span > 0) figure("of that used", `${Math.round(100 * work / (data.span * data.lanes))} %`);
      // What a step was made ready in while the one before it still ran counts once.
      const since = (at, place) => Math.max(steps[at].began, place ? steps[path[place - 1]].ended : 0);
      const own = path.reduce((sum, at, place) => sum + Math.max(0, steps[at].ended - since(at, place)), 0);
      const slots = path.filter((at, place) => place && steps[at].slot_of !== undefined).length;
      figure(`critical path: ${slots ? `${slots} of ${count(path.length - 1, "link")} a wait for a slot` : count(path.length, "step")}`, span(own), "path");
      const retrying = ran.reduce((sum, step) => sum + step.retries.reduce((all, mark) => all + mark[2], 0), 0);
      if (retrying) figure("waiting to try again, in all", span(retrying));
    }
    figure(`until the plan${data.read ? `, ${count(data.read, "resource")} read` : ""}${data.drifted ? `, ${data.drifted} drifted` : ""}`, span(data.planning));
    if (data.asking > 500) figure("until it was confirmed", span(data.asking));
    $("figures").append(...figures);
    if (data.warnings.length) {
      $("warnings").hidden = false;
      $("warnings").append(...data.warnings.map((text) => html("div", { textContent: text })));
    }
    const legend = $("legend");
    const sign = (name, background) => {
      const box = html("i", {}); box.style.background = background;
      legend.append(html("span", {}, box, name));
    };
    for (const verb of new Set(steps.filter((step) => step.outcome !== "failed").map((step) => step.verb))) if (verb) sign(verb, `var(--${verb})`);
    if (failed) sign("failed", "var(--failed)");
    if (ran.some((step) => step.retries.length)) sign("waits to try again", "repeating-linear-gradient(135deg,var(--retry) 0 3px,transparent 3px 6px)");
    if (ran.some((step) => step.hooks.length)) sign("hook of the program", "var(--hook)");
    if (ran.some((step) => step.waited > 5)) sign("waits for a slot", "repeating-linear-gradient(90deg,var(--wait) 0 3px,transparent 3px 6px) center/100% 3px no-repeat");
    if (path.length) sign("critical path", "linear-gradient(var(--accent),var(--accent)) bottom/100% 4px no-repeat");
  };

  // The state of the view.
  let view = steps.length > 80 ? "slots" : "steps", from = 0, to = Math.max(data.span, 0.001), filter = "", only = false;
  const whole = to;
  const shown = () => steps.filter((step) => (!filter || filter.split(/\s+/).every((word) => step.text.includes(word))) && (!only || step.critical));

  // The chart.
  const scroll = $("scroll"), chart = $("chart"), axis = $("axis"), space = $("space"), tip = $("tip");
  const layout = () => {
    const width = scroll.clientWidth || 1000;
    const left = view === "slots" ? 56 : Math.min(330, Math.max(150, width * 0.27));
    return { width, left, right: width - (view === "slots" ? 14 : 78), row: view === "slots" ? 30 : steps.length > 80 ? 20 : 26 };
  };
  const x = (ms, { left, right }) => left + (ms - from) / (to - from) * (right - left);
  const ticks = () => {
    const aim = (to - from) / 7, power = 10 ** Math.floor(Math.log10(aim));
    let each = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= aim);
    if (aim > 20000) each = [30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map((s) => s * 1000).find((n) => n >= aim) || each;
    const all = [];
    for (let at = Math.ceil(from / each) * each; at <= to * 1.0001; at += each) all.push(at);
    return all;
  };
  const pattern = (svg) => {
    const defs = element("defs", {}, svg);
    const made = element("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, defs);
    element("rect", { width: 6, height: 6, fill: "var(--bg)", opacity: 0.75 }, made);
    element("rect", { width: 3, height: 6, fill: "var(--retry)" }, made);
    return defs;
  };

  // How many steps ran at each instant, and how many of them only waited to be tried again.
  const load = (() => {
    const edges = [];
    for (const step of ran) {
      edges.push([step.began, 1, 0], [step.ended, -1, 0]);
      for (const [at, , delay] of step.retries) edges.push([at, 0, 1], [Math.min(at + delay, step.ended), 0, -1]);
    }
    edges.sort((a, b) => a[0] - b[0]);
    let running = 0, stuck = 0;
    const points = [];
    for (const [at, more, waiting] of edges) {
      running += more; stuck += waiting;
      if (points.length && points[points.length - 1][0] === at) points.pop();
      points.push([at, running, stuck]);
    }
    return points;
  })();
  const area = (which, box, top, height) => {
    let d = `M${box.left} ${top + height}`, last = 0;
    for (const point of load) {
      const at = Math.min(Math.max(x(point[0], box), box.left), box.right);
      const level = (n) => top + height - n / Math.max(data.lanes, 1) * height;
      d += `L${at.toFixed(1)} ${level(last).toFixed(1)}L${at.toFixed(1)} ${level(point[which]).toFixed(1)}`;
      last = point[which];
    }
    return `${d}L${box.right} ${top + height}Z`;
  };
  const drawAxis = (box) => {
    axis.replaceChildren();
    const height = 66, top = 6, tall = 36;
    axis.setAttribute("height", height);
    element("path", { d: area(1, box, top, tall), class: "load" }, axis);
    element("path", { d: area(2, box, top, tall), class: "stuck" }, axis);
    element("text", { x: box.left - 8, y: top + 12, "text-anchor": "end", class: "muted" }, axis, view === "slots" ? `${data.lanes}` : `${data.lanes} at once`);
    for (const at of ticks()) {
      const g = element("g", { class: "tick" }, axis);
      element("line", { x1: x(at, box), x2: x(at, box), y1: top, y2: height }, g);
      element("text", { x: x(at, box) + 4, y: height - 8 }, g, span(at));
    }
  };
  const cut = (text, width) => {
    const most = Math.floor(width / 6.6);
    if (text.length <= most) return text;
    return most < 3 ? "" : `…${text.slice(text.length - most + 1)}`;
  };
  const bar = (g, step, y, height, box) => {
    if (step.took === undefined) return;
    const clamp = (at) => Math.min(Math.max(x(at, box), box.left), box.right);
    const begin = clamp(step.began), end = Math.max(clamp(step.ended), begin + 1.5);
    if (step.ended < from || step.began > to) return;
    const start = Math.min(Math.max(clamp(step.started ?? step.began), begin), end);
    if (view === "steps" && step.waited > 5) element("line", { x1: clamp(step.ready), x2: begin, y1: y + height / 2, y2: y + height / 2, class: "wait" }, g);
    const radius = Math.min(4, (end - begin) / 3);
    element("rect", { x: begin, y, width: end - begin, height, rx: radius, fill: colour(step), class: start - begin > 2 ? "early" : "" }, g);
    if (start - begin > 2) element("rect", { x: start, y, width: Math.max(end - start, 1), height, rx: radius, fill: colour(step) }, g);
    for (const [at, , delay] of step.retries) {
      const a = clamp(at), b = Math.max(clamp(Math.min(at + delay, step.ended)), a + 1.5);
      element("rect", { x: a, y, width: b - a, height, fill: "url(#hatch)" }, g);
    }
    for (const [at, , took] of step.hooks) {
      const a = clamp(at), b = Math.max(clamp(Math.min(at + took, step.ended)), a + 1.5);
      element("rect", { x: a, y: y + 2, width: b - a, height: height * 0.4, rx: 2, fill: "var(--hook)" }, g);
    }
    for (const [at, , , kind] of step.marks || []) {
      if (kind === "said" && at >= from && at <= to) element("line", { x1: clamp(at), x2: clamp(at), y1: y + height * 0.68, y2: y + height - 3, class: "mark" }, g);
    }
    if (step.outcome === "failed" && end - begin > 14) element("text", { x: end - 11, y: y + height / 2 + 4, class: "in" }, g, "✕");
    if (step.outcome === "running" && end - begin > 14) element("text", { x: end - 12, y: y + height / 2 + 4, class: "in" }, g, "…");
    if (step.critical) element("rect", { x: begin, y: y + height - 3, width: end - begin, height: 3, class: "critical" }, g);
    return [begin, end];
  };
  const drawRows = (box) => {
    const rows = shown(), slots = view === "slots";
    const tall = (slots ? data.lanes : rows.length) * box.row + 12;
    space.style.height = `${tall}px`;
    const top = Math.max(0, Math.min(scroll.scrollTop, tall) - 10 * box.row), view_height = scroll.clientHeight + 20 * box.row;
    const height = Math.min(view_height, tall - top);
    chart.replaceChildren();
    chart.style.top = `${top}px`;
    chart.setAttribute("width", box.width);
    chart.setAttribute("height", height);
    chart.setAttribute("viewBox", `0 ${top} ${box.width} ${height}`);
    pattern(chart);
    for (const at of ticks()) {
      const g = element("g", { class: "tick" }, chart);
      element("line", { x1: x(at, box), x2: x(at, box), y1: top, y2: top + height }, g);
    }
    const place = (step, row) => (slots ? step.lane : row) * box.row + 6;
    const y_of = new Map();
    rows.forEach((step, row) => { if (step.lane !== undefined || !slots) y_of.set(step.index, place(step, row)); });
    if (slots) for (let lane = 0; lane < data.lanes; lane++) {
      element("text", { x: box.left - 10, y: lane * box.row + 6 + box.row / 2 + 3, "text-anchor": "end", class: "muted" }, chart, `${lane + 1}`);
    }
    for (const step of rows) {
      const y = y_of.get(step.index);
      if (y === undefined || y < top - box.row || y > top + height) continue;
      const g = element("g", { class: "row" }, chart);
      g.step = step;
      const thick = box.row - (slots ? 6 : 7);
      if (!slots) element("rect", { x: 0, y: y - 3, width: box.width, height: box.row, class: "band" }, g);
      const drawn = bar(g, step, y, thick, box);
      if (slots) {
        if (drawn && drawn[1] - drawn[0] > 34) element("text", { x: drawn[0] + 5, y: y + thick / 2 + 4, class: "in" }, g, cut(step.name, drawn[1] - drawn[0] - 8));
        continue;
      }
      const base = y + thick / 2 + 4;
      const kind = box.left > 220 ? step.short : "";
      const name = element("text", { x: box.left - 12, y: base, "text-anchor": "end", class: step.critical ? "path" : "" }, g);
      const room = box.left - 20 - (kind ? kind.length * 6.6 + 8 : 0);
      if (kind) element("tspan", { class: "muted", "font-weight": 400, fill: "var(--muted)" }, name, `${kind}  `);
      element("tspan", {}, name, cut(step.name, room));
      if (drawn) element("text", { x: Math.min(drawn[1] + 6, box.right + 4), y: base, class: "muted" }, g, span(step.took));
      else if (step.outcome === "skipped") element("text", { x: box.left + 6, y: base, class: "muted" }, g, `left out: ${step.because}`);
    }
    // What the length of the run hung on.
    for (let place = 1; place < path.length; place++) {
      const [a, b] = [steps[path[place - 1]], steps[path[place]]];
      const [ya, yb] = [y_of.get(a.index), y_of.get(b.index)];
      if (ya === undefined || yb === undefined || (slots && ya === yb) || Math.max(ya, yb) < top || Math.min(ya, yb) > top + height) continue;
      const [xa, xb, half] = [x(a.ended, box), x(b.began, box), (box.row - 6) / 2];
      if (xb < box.left || xa > box.right) continue;
      element("path", { d: `M${xa.toFixed(1)} ${ya + half}V${yb + half}H${Math.max(xb, xa).toFixed(1)}`, class: b.slot_of === undefined ? "link" : "link slot", "pointer-events": "none" }, chart);
    }
  };

  // The table.
  const MOST = 2000;
  let sorted = "began", down = false;
  const columns = [
    ["Resource", "urn", (step) => step.urn, (step) => html("td", { className: "name" }, step.name, " ", html("small", { textContent: step.type }))],
    ["Step", "verb", (step) => step.verb, (step) => html("td", {}, step.verb, step.outcome === "done" ? "" : html("span", { className: step.outcome === "failed" ? "bad" : "" , textContent: ` ${step.outcome}` }))],
    ["Began", "began", (step) => step.began ?? Infinity, (step) => html("td", { className: "number", textContent: step.began === undefined ? "" : span(step.began) })],
    ["Took", "took", (step) => step.took ?? -1, (step) => html("td", { className: "number", textContent: step.took === undefined ? "" : span(step.took) })],
    ["Waited", "waited", (step) => step.waited, (step) => html("td", { className: "number", textContent: step.waited > 5 ? span(step.waited) : "" })],
    ["Retries", "retries", (step) => step.retries.length, (step) => html("td", { className: "number", textContent: step.retries.length || "" })],
    ["Why", "why", (step) => (step.reasons || []).join(), (step) => html("td", { className: "why" }, ...why(step).map((text) => html("div", { textContent: text })))],
  ];
  const why = (step) => {
    const all = [...(step.reasons || [])];
    if (step.because) all.push(step.outcome === "skipped" ? `left out: ${step.because}` : step.because);
    return all;
  };
  const drawTable = () => {
    const [, , key] = columns.find((column) => column[1] === sorted);
    const rows = shown().sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.index - b.index) * (down ? -1 : 1));
    const head = html("tr", {}, ...columns.map(([title, id]) => {
      const cell = html("th", { textContent: title + (id === sorted ? (down ? " ↓" : " ↑") : "") });
      if (["began", "took", "waited", "retries"].includes(id)) cell.className = "number";
      cell.addEventListener("click", () => { down = sorted === id ? !down : ["took", "waited", "retries"].includes(id); sorted = id; drawTable(); });
      return cell;
    }));
    const body = rows.slice(0, MOST).map((step) => html("tr", { className: step.critical ? "critical" : "" }, ...columns.map((column) => column[3](step))));
    $("table").replaceChildren(html("table", {}, html("thead", {}, head), html("tbody", {}, ...body)));
    if (rows.length > MOST) $("table").append(html("p", { className: "more", textContent: `… and ${(rows.length - MOST).toLocaleString("en")} more: the filter finds them` }));
  };

  const draw = () => {
    const table = view === "table", empty = !steps.length;
    for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", button.dataset.view === view);
    $("table").hidden = !table || empty;
    axis.style.display = table || empty ? "none" : "";
    scroll.hidden = table || empty;
    $("empty").hidden = !empty;
    if (empty) {
      $("empty").textContent = data.outcome === "not begun" ? "No step began." : "No step was needed: everything is as it should be.";
      return;
    }
    if (table) return drawTable();
    const box = layout();
    drawAxis(box);
    drawRows(box);
  };

  // What is under the pointer.
  const tell = (step, event) => {
    const rows = [];
    const row = (name, text) => rows.push(html("dt", { textContent: name }), html("dd", { textContent: text }));
    const also = { failed: "failed", skipped: "left out", running: "was still running" }[step.outcome];
    row("step", step.verb + (also ? `: ${also}` : ""));
    if (step.took !== undefined) {
      row("took", `${span(step.took)}, from ${span(step.began)} to ${span(step.ended)}`);
      if (step.started - step.began > 2) row("before", `${span(step.started - step.began)} until the call: the state was written, or its name looked up`);
      if (step.waited > 5) row("waited", `${span(step.waited)} for a slot${step.slot_of === undefined ? "" : `, which ${steps[step.slot_of].name} freed`}`);
    }
    if (step.after) row("after", `${steps[step.after[0]].name} (${step.after[1]})`);
    for (const text of why(step)) row("why", text);
    const marks = step.marks || [];
    for (const [at, text, lasts, kind] of marks.slice(0, 8)) row(`at ${span(at)}`, kind === "retry" ? `${text}; again after ${span(lasts)}` : kind === "hook" ? `${text}: ${span(lasts)}` : text);
    if (marks.length > 8) row("", `… and ${marks.length - 8} more`);
    if (step.critical) row("", "on the critical path");
    tip.replaceChildren(html("h2", { textContent: step.urn }), html("dl", {}, ...rows));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, innerWidth - width - 12))}px`;
    tip.style.top = `${event.clientY + 18 + height > innerHeight ? Math.max(8, event.clientY - height - 12) : event.clientY + 18}px`;
  };
  const zoom = (factor, middle = (from + to) / 2) => {
    const wide = Math.min(whole, Math.max((to - from) * factor, whole / 1e5));
    from = Math.max(0, Math.min(middle - (middle - from) * wide / (to - from), whole - wide));
    to = from + wide;
    draw();
  };
  const time = (event) => {
    const box = layout();
    return from + (Math.min(Math.max(event.clientX - chart.getBoundingClientRect().left, box.left), box.right) - box.left) / (box.right - box.left) * (to - from);
  };
  let drag = null;
  chart.addEventListener("pointerdown", (event) => { drag = { at: time(event), x: event.clientX }; chart.setPointerCapture(event.pointerId); });
  chart.addEventListener("pointermove", (event) => {
    if (drag) {
      const box = layout(), [a, b] = [drag.at, time(event)].sort((p, q) => p - q);
      tip.hidden = true;
      chart.querySelector(".pick")?.remove();
      element("rect", { x: x(a, box), width: Math.max(x(b, box) - x(a, box), 0), y: 0, height: space.clientHeight, class: "pick" }, chart);
      return;
    }
    const step = event.target.closest(".row")?.step;
    if (step) tell(step, event); else tip.hidden = true;
  });
  chart.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const [a, b] = [drag.at, time(event)].sort((p, q) => p - q), far = Math.abs(event.clientX - drag.x) > 6;
    drag = null;
    if (far && b - a > whole / 1e5) [from, to] = [a, b];
    draw();
  });
  chart.addEventListener("pointerleave", () => { tip.hidden = true; });
  chart.addEventListener("dblclick", () => { [from, to] = [0, whole]; draw(); });
  scroll.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    zoom(Math.exp((event.deltaY || event.deltaX) * 0.002), time(event));
  }, { passive: false });
  let due = 0;
  scroll.addEventListener("scroll", () => { tip.hidden = true; due ||= requestAnimationFrame(() => { due = 0; drawRows(layout()); }); });
  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => { view = button.dataset.view; scroll.scrollTop = 0; draw(); });
  $("in").addEventListener("click", () => zoom(0.5));
  $("out").addEventListener("click", () => zoom(2));
  $("all").addEventListener("click", () => { [from, to] = [0, whole]; draw(); });
  $("filter").addEventListener("input", (event) => { filter = event.target.value.trim().toLowerCase(); scroll.scrollTop = 0; draw(); });
  $("critical").addEventListener("change", (event) => { only = event.target.checked; scroll.scrollTop = 0; draw(); });
  addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" && event.key !== "Escape") return;
    if (event.key === "/") { event.preventDefault(); $("filter").focus(); }
    if (event.key === "+") zoom(0.5);
    if (event.key === "-") zoom(2);
    if (event.key === "Escape" || event.key === "0") { [from, to] = [0, whole]; $("filter").value = filter = ""; draw(); }
  });
  addEventListener("resize", draw);
  // A part of the address chooses the view, so that a link can point to it.
  if (["steps", "slots", "table"].includes(location.hash.slice(1))) view = location.hash.slice(1);
  head();
  draw();
})();
