// One message, and keeping a list of posts in step with the store.

import { h, icon, iconButton, link, notice, openMenu } from "./dom.js";
import { kept, renderCard, restore } from "./cards.js";
import { act, isBot, nameOf, store } from "./store.js";
import { typed, words } from "./text.js";

const REACTIONS = { like: "👍", heart: "❤️", laugh: "😆", surprised: "😮", sad: "😢", angry: "😠" };

/** What the bot's manifest adds to the menu of every message. */
const MESSAGE_ACTIONS = { returnToAgent: "Return to AI agent", sendToCustomer: "Send to the customer" };

const time = (ms) => new Date(ms).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });

export function avatar(sender, small = false) {
  const who = isBot(sender) ? "bot" : sender;
  return h("img", { class: small ? "avatar small" : "avatar", src: `avatars/${who}.svg`, alt: "" });
}

/** Report what an act's answer says, if it says that something went wrong. */
export function report(answer) {
  if (answer.ok === false) notice(answer.detail || answer.error, { isError: true });
  return answer;
}

function badge(sender) {
  const person = store.people.get(sender);
  if (isBot(sender)) return h("span", { class: "tag", text: "App" });
  if (person?.is_outsider) return h("span", { class: "tag outside", text: "External" });
  return person?.is_guest ? h("span", { class: "tag outside", text: "Guest" }) : null;
}

function cardsOf(message) {
  const own = message.views[store.me];
  const press = async (action, inputs) => report(await act("click", { message: message.id, verb: action.verb, title: action.title, inputs }));
  return (own ? [own] : message.cards).map((card) => h("div", { class: "card" }, renderCard(card, press, { isOld: store.rules.old_client })));
}

function files(message) {
  return message.files.map((file) => (file.image
    ? h("img", { class: "pasted", src: `pictures/${file.image}?page=${store.pageKey}`, alt: "pasted image" })
    : h("span", { class: "file-chip" }, icon("file"), h("span", { text: file.name }), h("span", { class: "hint", text: "in SharePoint" }))));
}

function pictures(message) {
  return message.attachments.filter((each) => /^image\//.test(each.contentType) && each.contentType !== "image/*").map((each) => h("p", {}, link(each.contentUrl, each.name || "image")));
}

function reactions(message) {
  const given = Object.entries(message.reactions).filter(([, who]) => who.length);
  if (!given.length) return null;
  return h("div", { class: "reactions" }, given.map(([name, who]) => h("button", {
    type: "button", class: who.includes(store.me) ? "reaction mine" : "reaction", "aria-pressed": String(who.includes(store.me)), title: who.map(nameOf).join(", "),
    on: { click: async () => report(await act("react", { message: message.id, name })) },
  }, h("span", { text: REACTIONS[name] }), h("span", { text: String(who.length) }))));
}

function bodyOf(message) {
  if (message.is_deleted) {
    const undo = message.from === store.me ? h("button", { type: "button", class: "link", text: "Undo", on: { click: async () => report(await act("undelete", { message: message.id })) } }) : null;
    return h("div", { class: "body gone" }, h("span", { text: "This message has been deleted. " }), undo);
  }
  const body = h("div", { class: "body" });
  if (message.text || message.html) body.append(words(message));
  body.append(...cardsOf(message), ...pictures(message), ...files(message));
  for (const flag of message.flags) body.append(h("p", { class: "flag", text: `Teams may show this otherwise – ${flag}` }));
  const marks = reactions(message);
  if (marks) body.append(marks);
  return body;
}

/** Draw one message. `isRoot`: it begins a post. */
export function renderMessage(message, { isRoot }) {
  const head = h("div", { class: "head" }, h("span", { class: "author", text: nameOf(message.from) }), badge(message.from),
    h("time", { class: "time", dateTime: new Date(message.at_ms).toISOString(), text: time(message.at_ms) }),
    message.edited_ms && !message.is_deleted ? h("span", { class: "hint", text: "Edited" }) : null,
    message.targeted_to ? h("span", { class: "hint only-you" }, icon("eye"), "Only you and the app see this") : null);
  const row = h("article", { class: isRoot ? "message root" : "message", dataset: { id: message.id }, "aria-label": `${nameOf(message.from)}, ${time(message.at_ms)}` },
    avatar(message.from, !isRoot), h("div", { class: "content" }, head, bodyOf(message)));
  if (!message.is_deleted) row.append(toolbar(message, row));
  return row;
}

function toolbar(message, row) {
  return h("div", { class: "toolbar", role: "group", "aria-label": "Message actions" },
    iconButton("smile", "React", (event) => openMenu(event.currentTarget, Object.entries(REACTIONS).map(([name, face]) => ({ label: `${face} ${name}`, run: async () => report(await act("react", { message: message.id, name })) })))),
    iconButton("more", "More options", (event) => openMenu(event.currentTarget, menu(message, row)), { "aria-haspopup": "menu" }));
}

function menu(message, row) {
  const found = Object.entries(MESSAGE_ACTIONS).map(([command, label]) => ({ label, run: async () => report(await act("message_action", { message: message.id, command })) }));
  const isOwner = store.people.get(store.me)?.is_owner;
  if (message.from === store.me) found.push({ label: "Edit", run: () => edit(message, row) });
  if (message.from === store.me || isOwner) found.push({ label: "Delete", danger: true, run: async () => report(await act("delete", { message: message.id })) });
  if (!isBot(message.from)) found.push({ label: "Deliver once more", run: async () => report(await act("again", { message: message.id })) });
  return found;
}

function edit(message, row) {
  const body = row.querySelector(".body");
  const area = h("textarea", { class: "edit-text", "aria-label": "Edit message", rows: 2, value: typed(message) });
  const done = () => form.replaceWith(body);
  const save = async () => {
    const text = area.value.trim();
    done();
    if (text && text !== typed(message)) report(await act("edit", { message: message.id, text }));
  };
  const form = h("form", { class: "edit", on: { submit: (event) => { event.preventDefault(); save(); } } }, area,
    h("div", { class: "edit-buttons" }, h("button", { type: "button", class: "button", text: "Cancel", on: { click: done } }), h("button", { class: "button primary", text: "Save" })));
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.stopPropagation(); done(); }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); save(); }
  });
  body.replaceWith(form);
  area.focus();
}

/** Keep the rows of a list in step: what did not change stays as it is, and half-filled forms keep their words. */
export function reconcile(list, entries) {
  const known = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const nodes = entries.map(({ key, print, draw }) => {
    const old = known.get(key);
    if (old && old.print === print) return old;
    const node = draw(old);
    node.dataset.key = key;
    node.print = print;
    return node;
  });
  nodes.forEach((node, index) => { if (list.children[index] !== node) list.insertBefore(node, list.children[index] || null); });
  while (list.children.length > nodes.length) list.lastElementChild.remove();
}

/** A message as an entry for `reconcile`. */
export function entryOf(message, view) {
  return {
    key: message.id,
    print: JSON.stringify([message, store.me, store.rules.old_client, view]),
    draw(old) {
      const state = old ? kept(old) : null;
      const node = renderMessage(message, view);
      if (state) requestAnimationFrame(() => restore(node, state));
      return node;
    },
  };
}
