// The page: channels on the left, posts with their replies in the middle. `?embed=1` fits it into a frame and opens new
// conversations by itself; `channel`, `thread` and `as` choose where it starts and who acts.

import { h, icon, notice } from "./dom.js";
import { makeComposer } from "./composer.js";
import { showDialog } from "./dialog.js";
import { entryOf, reconcile } from "./messages.js";
import { follow, isBot, onChange, posts, repliesOf, store } from "./store.js";
import { drawSwitches } from "./switches.js";

const SHOWN_REPLIES = 3;
const query = new URLSearchParams(location.search);
const isEmbedded = query.get("embed") === "1";
const at = { channel: query.get("channel"), thread: query.get("thread") };
const el = (id) => document.getElementById(id);

document.documentElement.classList.toggle("embed", isEmbedded);
el("back").append(icon("back"));
el("switches-button").append(icon("bolt"));

/** The thread that opened by itself: its card's buttons stay in sight until somebody acts, scrolls, or more is said. */
let greeted = null, hasActed = false;
const OPENING_REPLIES = 2;

const channelNow = () => store.channels.get(at.channel);
const isOpen = () => Boolean(store.people.get(store.me)?.is_member || store.people.get(store.me)?.is_outsider) && !channelNow()?.is_deleted && !store.team.is_archived;
const composer = makeComposer(() => ({
  channel: at.channel, root: at.thread, isOpen: isOpen(), label: at.thread ? "Reply" : `Start a post in ${channelNow()?.name}`,
}), "main");
el("composer").append(composer.element);

function go(channel, thread) {
  const isOther = channel !== at.channel || thread !== at.thread;
  Object.assign(at, { channel, thread });
  store.unread.delete(channel);
  if (isOther) el("posts").replaceChildren();
  remember();
  draw();
  if (isOther && thread !== greeted) el("posts").scrollTop = el("posts").scrollHeight;
}

function remember() {
  const kept = new URLSearchParams(location.search);
  for (const [key, value] of [["channel", at.channel], ["thread", at.thread], ["as", store.me]]) {
    if (value) kept.set(key, value);
    else kept.delete(key);
  }
  history.replaceState(null, "", `?${kept}`);
}

/** A post with its last replies; in its own view with all of them. */
function postEntry(channel, root) {
  const replies = repliesOf(channel, root.id);
  const shown = at.thread ? replies : replies.slice(-SHOWN_REPLIES);
  const rows = [entryOf(root, { isRoot: true })];
  const hidden = replies.length - shown.length;
  if (hidden) rows.push({ key: `more-${root.id}`, print: `${hidden}`, draw: () => openLink(`See ${hidden} earlier ${hidden === 1 ? "reply" : "replies"}`, root) });
  rows.push(...shown.map((message) => entryOf(message, { isRoot: false })));
  if (!at.thread) rows.push({ key: `reply-${root.id}`, print: "", draw: () => openLink("Reply", root) });
  return {
    key: `post-${root.id}`,
    print: JSON.stringify([rows.map((row) => [row.key, row.print]), at.thread]),
    draw(old) {
      const box = old || h("section", { class: "post", "aria-label": "Conversation" });
      reconcile(box, rows);
      return box;
    },
  };
}

const openLink = (text, root) => h("div", { class: "open-thread" }, h("button", { type: "button", class: "link", text, on: { click: () => { go(at.channel, root.id); composer.focus(); } } }));

function dayEntry(message) {
  const day = new Date(message.at_ms).toDateString();
  const text = day === new Date().toDateString() ? "Today" : new Date(message.at_ms).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  return { key: `day-${day}`, print: text, draw: () => h("p", { class: "day", text }) };
}

function drawPosts() {
  const channel = channelNow(), list = el("posts");
  const atBottom = hasActed || list.scrollHeight - list.scrollTop - list.clientHeight < 100;
  hasActed = false;
  const root = at.thread ? channel.messages.get(at.thread) : null;
  if (at.thread && !root) at.thread = null;
  el("back").hidden = !at.thread;
  el("channel-name").textContent = channel.name;
  el("channel-state").textContent = [channel.is_deleted && "deleted", store.team.is_archived && "team archived", !store.bot.is_installed && "the app is not installed"].filter(Boolean).join(" · ");
  const entries = [];
  let day = "";
  for (const each of root ? [root] : posts(channel)) {
    const entry = dayEntry(each);
    if (entry.key !== day) entries.push(entry);
    day = entry.key;
    entries.push(postEntry(channel, each));
  }
  if (!entries.length) entries.push({ key: "empty", print: "", draw: () => h("p", { class: "day", text: "Nothing here yet. New conversations appear as cards." }) });
  const end = () => { list.scrollTop = list.scrollHeight; };
  reconcile(list, entries);
  if (greeted && greeted === at.thread && repliesOf(channel, greeted).length <= OPENING_REPLIES) {
    const card = list.querySelector(".message");
    list.scrollTop += card.getBoundingClientRect().bottom - list.getBoundingClientRect().bottom + 12;
  } else if (atBottom || (at.thread && greeted === at.thread)) { greeted = null; end(); for (const picture of list.querySelectorAll("img")) if (!picture.complete) picture.addEventListener("load", end, { once: true }); }
  composer.refresh();
}

function actingSelect(id) {
  const role = (person) => (person.is_outsider ? " (other company)" : person.is_guest ? " (guest)" : person.is_owner ? " (owner)" : "") + (person.is_member || person.is_outsider ? "" : " (left)");
  return h("select", { id, class: "acting-select", "aria-label": "You are", on: { change: (event) => { store.me = event.target.value; remember(); draw(); } } },
    [...store.people.values()].map((person) => h("option", { value: person.aad, selected: person.aad === store.me, text: person.name + role(person) })));
}

function channelButton(channel) {
  const isHere = channel.id === at.channel, isUnread = store.unread.has(channel.id);
  return h("button", {
    type: "button", class: `channel-button${isHere ? " here" : ""}${isUnread ? " unread" : ""}`, "aria-current": isHere ? "page" : undefined, on: { click: () => go(channel.id, null) },
  }, h("span", { text: channel.name }), isUnread ? h("span", { class: "dot", role: "img", "aria-label": "unread" }) : null);
}

function drawSidebar() {
  const visible = [...store.channels.values()].filter((channel) => !channel.is_deleted || channel.id === at.channel);
  const print = JSON.stringify([store.me, at.channel, [...store.unread], visible.map((c) => [c.id, c.name]), [...store.people.values()], store.team.name]);
  if (el("sidebar").print === print) return;
  el("sidebar").print = print;
  el("team-name").textContent = store.team.name;
  el("team-mark").textContent = store.team.name.split(/\s+/).map((word) => word[0]).slice(0, 2).join("");
  el("channels").replaceChildren(...visible.map((channel) => h("li", {}, channelButton(channel))));
  el("acting-as").replaceWith(actingSelect("acting-as"));
  const rooms = h("select", { class: "acting-select", "aria-label": "Channel", on: { change: (event) => go(event.target.value, null) } },
    visible.map((channel) => h("option", { value: channel.id, selected: channel.id === at.channel, text: channel.name + (store.unread.has(channel.id) ? " •" : "") })));
  el("narrow-tools").replaceChildren(rooms, actingSelect("acting-as-narrow"));
}

function draw() {
  if (!channelNow() || !store.me) return;
  drawSidebar();
  drawPosts();
  drawSwitches(el("switches"), channelNow());
  showDialog();
  document.title = `${channelNow().name} · ${store.team.name} (sandbox)`;
}

/** In a frame a new conversation opens by itself, without taking the focus from whoever is typing next to it. */
function greet({ message, isNew }) {
  if (!isNew) return;
  const isCard = isBot(message.from) && message.root === message.id && message.cards.length > 0;
  if (isCard && isEmbedded && !composer.isBusy()) { greeted = message.id; go(message.channel, message.id); return; }
  if (message.channel !== at.channel) store.unread.add(message.channel);
  if (isCard && (message.channel !== at.channel || at.thread)) {
    notice(`New in ${store.channels.get(message.channel).name}: ${(message.summary || "a conversation").slice(0, 60)}`, { label: "Open", action: () => go(message.channel, message.id) });
  }
}

onChange((change) => {
  if (change.kind === "reload") {
    const people = [...store.people.values()], wanted = query.get("as");
    store.me ||= people.find((person) => person.aad === wanted || person.name.toLowerCase().startsWith(`${wanted} `))?.aad || people[0].aad;
    const rooms = [...store.channels.values()];
    at.channel = rooms.find((room) => room.id === at.channel || room.name.toLowerCase() === at.channel?.toLowerCase())?.id || rooms[rooms.length - 1].id;
  }
  if (change.kind === "message") greet(change);
  if (change.kind === "message" && change.isNew && isBot(change.message.from) && isEmbedded) parent.postMessage({ news: true }, "*");
  if (change.kind === "notice" && change.notice.user === store.me) notice(change.notice.text, { isError: change.notice.is_error });
  draw();
});

el("posts").addEventListener("click", (event) => { if (event.target.closest("button") && greeted) { hasActed = true; greeted = null; } });
el("posts").addEventListener("wheel", () => { greeted = null; }, { passive: true });
el("back").addEventListener("click", () => go(at.channel, null));
el("switches-button").addEventListener("click", () => {
  const opens = el("switches").hidden;
  el("switches").hidden = !opens;
  el("app").classList.toggle("with-switches", opens);
  el("switches-button").setAttribute("aria-expanded", String(opens));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open], .menu") && at.thread) go(at.channel, null);
});

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
