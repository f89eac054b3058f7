// Requests to the server that this page came from, and what several modules share.

const stored = sessionStorage.getItem("page");
/** This page's name: what it did can be undone here, after a reload as well. */
export const page = stored ?? crypto.randomUUID();
sessionStorage.setItem("page", page);

export class Problem extends Error {}

async function answer(request) {
  let response, content;
  try {
    response = await request;
    content = await response.json(); // which fails where the program ends in the middle of it
  } catch {
    throw new Problem("The program in the terminal does not answer. What was shown as saved is saved. Start it again to continue.");
  }
  if (!response.ok) throw new Problem(`Not saved: ${content.error}${content.hint ? ` (${content.hint})` : ""}`);
  return content;
}

/** GET api/NAME with parameters; undefined ones are left out. */
export function get(name, parameters = {}) {
  const query = new URLSearchParams({ page });
  for (const [key, value] of Object.entries(parameters)) if (value !== undefined && value !== "") query.set(key, value);
  return answer(fetch(`api/${name}?${query}`));
}

/** POST api/NAME; what it decided is on the disk when this resolves. */
export function post(name, content = {}) {
  const body = JSON.stringify({ page, ...content });
  return answer(fetch(`api/${name}`, { method: "POST", headers: { "Content-Type": "application/json" }, body }));
}

export const byId = (id) => document.getElementById(id);

/** A new element with properties, attributes (aria-*, role, data-*) and children; texts are never markup. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A probability as people read it: never 100 % or 0 % unless it is. */
export function percent(score) {
  if (score === null) return "added";
  const value = score * 100;
  if (value >= 99.5) return score === 1 ? "100 %" : "> 99 %";
  if (value > 0 && value < 0.5) return "< 1 %";
  return `${Math.round(value)} %`;
}

export const number = (value) => value.toLocaleString("en");

const queue = { last: Promise.resolve() };

/** Runs actions one after another, so that fast key presses each meet what the one before has left. */
export function inTurn(action) {
  const done = queue.last.then(action).catch(report);
  queue.last = done.catch(() => {}); // whatever went wrong, the next action has its turn
  return done;
}

/** Shows what went wrong, until something works again. */
export function report(error) {
  if (!(error instanceof Problem)) throw error;
  byId("problem").textContent = error.message;
  byId("problem").hidden = false;
}

export function allIsWell() {
  byId("problem").hidden = true;
}
