// The page: channels on the left, messages in the middle, a thread at the side. `?embed=1` fits it into a frame and
// opens new threads by itself; `channel`, `thread` and `as` choose where it starts and who acts.

import { h, icon, notice } from "./dom.js";
import { makeComposer } from "./composer.js";
import { reconcile } from "./messages.js";
import { showModal } from "./modal.js";
import { follow, isReply, name, onChange, repliesOf, roots, store, whispers } from "./store.js";
import { plain } from "./text.js";

const query = new URLSearchParams(location.search);
const isEmbedded = query.get("embed") === "1";
const at = { channel: query.get("channel"), thread: query.get("thread") };
const el = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 860px)");

document.documentElement.classList.toggle("embed", isEmbedded);
el("thread-back").append(icon("back"));
el("thread-close").append(icon("close"));

/** The thread that opened by itself: its card's buttons stay in sight until somebody acts, scrolls, or more is said. */
let greeted = null, hasActed = false;
const OPENING_REPLIES = 2;

const channelNow = () => store.channels.get(at.channel);
const isMember = () => Boolean(channelNow()?.members.includes(store.me)) && !channelNow().is_archived;

const composer = makeComposer(() => ({ channel: at.channel, threadTs: null, label: `Message #${channelNow()?.name}`, isMember: isMember(), channelName: channelNow()?.name }));
const threadComposer = makeComposer(() => ({ channel: at.channel, threadTs: at.thread, label: "Reply…", isMember: isMember(), channelName: channelNow()?.name }), { withBroadcast: true });
el("composer").append(composer.element);
el("thread-composer").append(threadComposer.element);

function openThread(ts, { focus = true } = {}) {
  store.unread.delete(at.channel);
  if (at.thread !== ts) el("replies").replaceChildren();
  at.thread = ts;
  remember();
  draw();
  if (ts !== greeted) el("replies").scrollTop = el("replies").scrollHeight;
  if (focus) threadComposer.focus();
}

function closeThread() {
  const ts = at.thread;
  at.thread = null;
  remember();
  draw();
  const card = ts ? document.querySelector(`#messages [data-ts="${CSS.escape(ts)}"]`) : null;
  card?.scrollIntoView({ block: "nearest" });
  card?.querySelector(".replies-link")?.focus();
}

function openChannel(id) {
  at.channel = id;
  at.thread = null;
  el("messages").replaceChildren();
  store.unread.delete(id);
  remember();
  draw();
  el("messages").scrollTop = el("messages").scrollHeight;
  if (!isEmbedded) composer.focus();
}

function remember() {
  const kept = new URLSearchParams(location.search);
  for (const [key, value] of [["channel", at.channel], ["thread", at.thread], ["as", store.me]]) {
    if (value) kept.set(key, value);
    else kept.delete(key);
  }
  history.replaceState(null, "", `?${kept}`);
}

const withChannel = (message) => ({ ...message, channel_id: at.channel });
const whisper = (message) => ({ ...withChannel(message), user: message.author, isEphemeral: true });

function dayLine(ts) {
  const when = new Date(Number(ts) * 1000);
  const isToday = when.toDateString() === new Date().toDateString();
  return line(`day-${when.toDateString()}`, isToday ? "Today" : when.toLocaleDateString([], { weekday: "long", month: "long", day: "numeric" }));
}

function line(key, text) {
  const node = h("div", { class: "line", dataset: { key } }, h("span", { text }));
  return { node, ts: key };
}

function drawChannel() {
  const channel = channelNow();
  el("channel-name").textContent = `# ${channel.name}`;
  el("channel-topic").textContent = channel.is_archived ? "Archived" : `${channel.topic.value}${channel.is_ext_shared ? " · shared with another organisation" : ""}`;
  const entries = [...roots(channel).map(withChannel), ...whispers(at.channel, null).map(whisper)].sort((a, b) => Number(a.ts) - Number(b.ts));
  const shown = [];
  let day = "";
  for (const entry of entries) {
    const today = new Date(Number(entry.ts) * 1000).toDateString();
    if (today !== day) shown.push(dayLine(entry.ts));
    day = today;
    shown.push(entry);
  }
  if (!entries.length) shown.push(line("empty", "Nothing here yet. New conversations appear as cards."));
  reconcile(el("messages"), shown, (entry) => ({ openThread, isEphemeral: entry.isEphemeral, isOpen: entry.ts === at.thread }));
  composer.refresh();
}

function drawThread() {
  const channel = channelNow();
  const root = at.thread ? channel.messages.get(at.thread) : null;
  const panel = el("thread");
  panel.hidden = !root;
  el("app").classList.toggle("with-thread", Boolean(root));
  if (!root) { if (at.thread) at.thread = null; return; }
  el("thread-channel").textContent = `#${channel.name}`;
  const replies = repliesOf(channel, root.ts);
  const entries = [{ ...withChannel(root), isRoot: true }];
  if (replies.length) entries.push(line("count", `${replies.length} ${replies.length === 1 ? "reply" : "replies"}`));
  entries.push(...[...replies.map(withChannel), ...whispers(at.channel, root.ts).map(whisper)].sort((a, b) => Number(a.ts) - Number(b.ts)));
  const list = el("replies"), end = () => { list.scrollTop = list.scrollHeight; };
  reconcile(list, entries, (entry) => ({ inThread: true, openThread, isEphemeral: entry.isEphemeral }));
  if (greeted === root.ts && replies.length <= OPENING_REPLIES) {
    // Room for the offer of new messages, which must not cover the buttons.
    list.scrollTop += list.firstElementChild.getBoundingClientRect().bottom - list.getBoundingClientRect().bottom + 56;
  } else if (greeted === root.ts || hasActed) end();
  if (replies.length > OPENING_REPLIES) greeted = null;
  hasActed = false;
  const status = store.statuses.get(`${at.channel}:${root.ts}`);
  const words = status ? `${name(store.botUser)} ${status}` : "";
  if (el("thread-status").textContent !== words) el("thread-status").textContent = words;
  threadComposer.refresh();
}

function channelButton(channel) {
  const isHere = channel.id === at.channel;
  const isUnread = store.unread.has(channel.id);
  return h("button", {
    type: "button", class: `channel-button${isHere ? " here" : ""}${isUnread ? " unread" : ""}`, "aria-current": isHere ? "page" : undefined,
    on: { click: () => openChannel(channel.id) },
  }, h("span", { class: "hash", "aria-hidden": "true", text: "#" }), h("span", { text: channel.name }), isUnread ? h("span", { class: "dot", role: "img", "aria-label": "unread" }) : null);
}

function actingSelect(id) {
  const people = [...store.people.values()].filter((person) => !person.is_bot);
  const role = (person) => (person.deleted ? " (deactivated)" : person.is_stranger ? " (other company)" : person.is_restricted ? " (guest)" : person.is_admin ? " (supervisor)" : "");
  return h("select", { id, class: "acting-select", "aria-label": "You are", on: { change: (event) => { store.me = event.target.value; remember(); draw(); } } },
    people.map((person) => h("option", { value: person.id, selected: person.id === store.me, text: person.real_name + role(person) })));
}

function drawSidebar() {
  const visible = [...store.channels.values()].filter((channel) => channel.members.includes(store.me) || channel.id === at.channel);
  const print = JSON.stringify([store.me, at.channel, [...store.unread], visible.map((c) => [c.id, c.name]), [...store.people.values()].map((p) => p.deleted)]);
  if (el("sidebar").print === print) return;
  el("sidebar").print = print;
  el("team-name").textContent = store.team.name;
  el("channels").replaceChildren(...visible.map((channel) => h("li", {}, channelButton(channel))));
  el("acting-as").replaceWith(actingSelect("acting-as"));
  const rooms = h("select", { class: "acting-select", "aria-label": "Channel", on: { change: (event) => openChannel(event.target.value) } },
    visible.map((channel) => h("option", { value: channel.id, selected: channel.id === at.channel, text: `#${channel.name}${store.unread.has(channel.id) ? " •" : ""}` })));
  el("narrow-tools").replaceChildren(rooms, actingSelect("acting-as-narrow"));
  el("thread-tools").replaceChildren(actingSelect("acting-as-thread"));
}

function draw() {
  if (!channelNow() || !store.me) return;
  drawSidebar();
  drawThread();
  drawChannel();
  showModal();
  document.title = `#${channelNow().name} · ${store.team.name} (sandbox)`;
}

/** In a frame a new conversation opens by itself, without taking the focus from whoever is typing next to it. */
function greet(change) {
  const { message, channel } = change;
  if (!change.isNew || isReply(message)) return;
  const isCard = Boolean(message.bot_id) && Boolean(message.blocks?.length);
  if (isEmbedded && isCard && !threadComposer.isBusy()) {
    at.channel = channel;
    greeted = message.ts;
    openThread(message.ts, { focus: false });
  } else if (isCard && (channel !== at.channel || at.thread)) {
    const room = store.channels.get(channel).name;
    notice(`New in #${room}: ${plain(message.text).slice(0, 60)}`, { label: "Open", action: () => { at.channel = channel; openThread(message.ts); } });
  }
}

onChange((change) => {
  if (change.kind === "reload") {
    const people = [...store.people.values()].filter((person) => !person.is_bot);
    store.me = store.me || people.find((person) => [person.id, person.name].includes(query.get("as")))?.id || people[0].id;
    const rooms = [...store.channels.values()];
    at.channel = rooms.find((room) => [room.id, room.name].includes(at.channel))?.id || rooms[0].id;
  }
  if (change.kind === "message") {
    if (change.isNew && change.channel !== at.channel) store.unread.add(change.channel);
    if (change.isNew && change.message.bot_id && isEmbedded) parent.postMessage({ news: true }, "*");
    greet(change);
  }
  draw();
});

el("replies").addEventListener("click", (event) => { if (event.target.closest("button") && greeted) { hasActed = true; greeted = null; } });
el("replies").addEventListener("wheel", () => { greeted = null; }, { passive: true });
el("thread-back").addEventListener("click", closeThread);
el("thread-close").addEventListener("click", closeThread);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open], .menu") && at.thread) closeThread();
});
narrow.addEventListener("change", draw);

/** The page around a frame asks before it shows something else, so that nobody is cut off in the middle of a word. */
const isTyping = () => document.hasFocus() && document.activeElement?.matches("textarea, input:not([type=checkbox], [type=radio])") && Boolean(document.activeElement.value);
addEventListener("message", (event) => {
  if (isEmbedded && event.source === parent && event.data?.asks === "typing") parent.postMessage({ typing: isTyping() }, event.origin);
});

let wasDown = false;
follow((isUp) => {
  if (isUp && wasDown) notice("Connected again.");
  if (!isUp && !wasDown) notice("The sandbox is gone; trying to reach it again…", { isError: true });
  wasDown = !isUp;
});
