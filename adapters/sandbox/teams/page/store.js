// What this page knows of the team: loaded once, then kept up to date by the live socket.

export const store = {
  seq: -1, me: null, people: new Map(), channels: new Map(), dialogs: [], rules: {}, faults: [],
  team: {}, bot: {}, app: {}, pageKey: "", unread: new Set(),
};

const listeners = new Set();

/** Call `listener(change)` after every change; a full load is the change `{kind: "reload"}`. */
export function onChange(listener) {
  listeners.add(listener);
}

function tell(change) {
  for (const listener of listeners) listener(change);
}

async function send(method, path, body) {
  const response = await fetch(path, {
    method, headers: { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body),
  });
  return response.json();
}

export const act = (kind, details) => send("POST", "sandbox/act", { user: store.me, kind, ...details });
export const setRules = (rules) => send("PUT", "sandbox/rules", rules);
export const addFault = (fault) => send("POST", "sandbox/faults", fault);
export const clearFaults = () => send("DELETE", "sandbox/faults");

export async function load() {
  const state = await (await fetch("sandbox/state")).json();
  store.seq = state.seq;
  store.people = new Map(state.people.map((person) => [person.aad, person]));
  store.channels = new Map(state.channels.map((channel) => [
    channel.id, { ...channel, messages: new Map(channel.messages.map((message) => [message.id, message])) },
  ]));
  Object.assign(store, {
    dialogs: state.dialogs, rules: state.rules, faults: state.faults, team: state.team, bot: state.bot, app: state.app,
    pageKey: state.page_key,
  });
  tell({ kind: "reload" });
}

/** Follow the team for as long as the page is open. `onLine(isUp)` says whether the socket is there. */
export function follow(onLine) {
  const address = new URL("sandbox/live", document.baseURI);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  let pending = Promise.resolve();
  socket.addEventListener("open", () => { pending = load().then(() => onLine(true)); });
  socket.addEventListener("message", (event) => {
    const change = JSON.parse(event.data);
    pending = pending.then(() => take(change));
  });
  socket.addEventListener("close", () => { onLine(false); setTimeout(() => follow(onLine), 1000); });
}

async function take(change) {
  if (change.kind === "hello" || change.seq <= store.seq) return;
  if (change.seq !== store.seq + 1 || change.kind === "reload") { await load(); return; }
  store.seq = change.seq;
  let isNew = false;
  if (change.kind === "message") {
    const messages = store.channels.get(change.message.channel).messages;
    isNew = !messages.has(change.message.id);
    messages.set(change.message.id, change.message);
  }
  if (change.kind === "switches") Object.assign(store, { rules: change.rules, faults: change.faults });
  tell({ ...change, isNew });
}

export const nameOf = (sender) => store.people.get(sender)?.name ?? store.bot.name ?? "";
export const isBot = (sender) => sender === store.bot.id;

/** Targeted messages are seen by one person only. */
const seen = (message) => !message.targeted_to || message.targeted_to === store.me;
export const posts = (channel) => [...channel.messages.values()].filter((m) => m.root === m.id && seen(m));
export const repliesOf = (channel, root) => [...channel.messages.values()].filter((m) => m.root === root && m.id !== root && seen(m));
