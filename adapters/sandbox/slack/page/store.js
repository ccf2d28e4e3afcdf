// What this page knows of the workspace: loaded once, then kept up to date by the live socket.

export const store = {
  seq: -1, me: null, people: new Map(), groups: new Map(), channels: new Map(), ephemerals: [], views: [],
  statuses: new Map(), app: {}, team: {}, botUser: "", pageKey: "", emoji: {}, unread: new Set(),
};

const listeners = new Set();

/** Call `listener(change)` after every change; a full reload is the change `{kind: "reload"}`. */
export function onChange(listener) {
  listeners.add(listener);
}

function tell(change) {
  for (const listener of listeners) listener(change);
}

export async function act(kind, details) {
  const response = await fetch("sandbox/act", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user: store.me, kind, ...details }),
  });
  return response.json();
}

export async function load() {
  const state = await (await fetch("sandbox/state")).json();
  store.seq = state.seq;
  store.people = new Map(state.people.map((person) => [person.id, person]));
  store.groups = new Map(state.groups.map((group) => [group.id, group]));
  store.channels = new Map(state.channels.map((channel) => [
    channel.id, { ...channel, messages: new Map(channel.messages.map((message) => [message.ts, message])) },
  ]));
  store.ephemerals = state.ephemerals;
  store.views = state.views;
  store.statuses = new Map(state.statuses.map((each) => [`${each.channel}:${each.thread_ts}`, each.status]));
  Object.assign(store, { app: state.app, team: state.team, botUser: state.bot_user, pageKey: state.page_key });
  if (!Object.keys(store.emoji).length) store.emoji = await (await fetch("sandbox/emoji")).json();
  tell({ kind: "reload" });
}

const APPLY = {
  message({ channel, message }) {
    const messages = store.channels.get(channel).messages;
    const isNew = !messages.has(message.ts);
    messages.set(message.ts, message);
    return { isNew };
  },
  message_deleted({ channel, ts }) {
    store.channels.get(channel).messages.delete(ts);
  },
  channel({ id, channel }) {
    const known = store.channels.get(id);
    store.channels.set(id, { ...channel, messages: known ? known.messages : new Map() });
  },
  person({ user }) { store.people.set(user.id, user); },
  ephemeral({ message }) { store.ephemerals.push(message); },
  ephemeral_deleted({ ts }) { store.ephemerals = store.ephemerals.filter((each) => each.ts !== ts); },
  status({ channel, thread_ts, status }) { store.statuses.set(`${channel}:${thread_ts}`, status); },
  view({ view, user, errors }) {
    const at = store.views.findIndex((each) => each.view.id === view.id);
    const entry = { view, user, errors };
    if (at < 0) store.views.push(entry);
    else store.views[at] = entry;
  },
  view_closed({ view_id }) { store.views = store.views.filter((each) => each.view.id !== view_id); },
  app({ app }) { store.app = app; },
};

/** Follow the workspace for as long as the page is open. `onLine(isUp)` says whether the socket is there. */
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
  if (change.seq !== store.seq + 1) { await load(); return; }
  store.seq = change.seq;
  const outcome = APPLY[change.kind]?.(change);
  tell({ ...change, ...outcome });
}

export function name(userId) {
  if (userId === "USLACKBOT") return "Slackbot";
  const person = store.people.get(userId) ?? [...store.people.values()].find((each) => each.profile.bot_id === userId);
  return person ? person.real_name : userId;
}

export function isReply(message) {
  return Boolean(message.thread_ts) && message.thread_ts !== message.ts;
}

export function roots(channel) {
  return [...channel.messages.values()].filter((m) => !isReply(m) || m.subtype === "thread_broadcast");
}

export function repliesOf(channel, rootTs) {
  return [...channel.messages.values()].filter((m) => isReply(m) && m.thread_ts === rootTs);
}

export function whispers(channelId, threadTs) {
  return store.ephemerals.filter((e) => e.user === store.me && e.channel === channelId && (e.thread_ts || null) === threadTs);
}
