// One message of a list, and keeping a list of them in step with the store.

import { h, icon, iconButton, notice, openMenu } from "./dom.js";
import { renderBlocks } from "./blocks.js";
import { emoji, mrkdwn, typed } from "./text.js";
import { act, isReply, name, store } from "./store.js";
import { confirmed } from "./modal.js";

const REACTIONS = ["eyes", "white_check_mark", "+1", "tada", "warning"];
const GROUP_S = 300;

export const clock = (ts) => new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const day = (ts) => new Date(Number(ts) * 1000).toDateString();

export function avatar(person, label, icons) {
  const initials = label.split(/\s+/).map((word) => word[0] || "").slice(0, 2).join("").toUpperCase();
  const box = h("span", { class: "avatar", "aria-hidden": "true", text: icons?.emoji ? "" : initials });
  if (icons?.emoji) box.append(emoji(icons.emoji.replace(/:/g, "")));
  box.style.background = `#${person?.color || "6b7280"}`;
  return box;
}

/** Report what an act's answer says, if it says that something went wrong. */
export function report(answer) {
  if (answer.ok === false) notice(answer.detail || answer.error.replace(/_/g, " "), { isError: true });
  else if (answer.failed) notice(`The app did not answer (${answer.failed.replace(/_/g, " ")}).`, { isError: true });
  return answer;
}

function useElement(message) {
  return async (element, block, value, node) => {
    if (element.confirm && !(await confirmed(element.confirm))) return;
    node.classList.add("busy");
    report(await act("click", { channel: message.channel_id, ts: message.ts, action_id: element.action_id, block_id: block.block_id, value }));
    node.classList.remove("busy");
  };
}

function author(message) {
  const id = message.user;
  const label = message.username || (id ? name(id) : "App");
  return { person: store.people.get(id), label, isApp: Boolean(message.bot_id) || Boolean(store.people.get(id)?.is_bot) || id === "USLACKBOT" };
}

function badges({ person, isApp }) {
  if (isApp) return h("span", { class: "tag", text: "App" });
  if (person?.is_stranger) return h("span", { class: "tag outside", text: "External" });
  return person?.is_restricted ? h("span", { class: "tag outside", text: "Guest" }) : null;
}

function files(message) {
  return (message.files || []).map((file) => {
    const path = (query) => `${new URL(file.url_private).pathname.slice(1)}?page=${store.pageKey}${query}`;
    const size = file.size > 1048576 ? `${(file.size / 1048576).toFixed(1)} MB` : `${Math.max(1, Math.round(file.size / 1024))} KB`;
    const picture = file.mimetype.startsWith("image/") && file.mimetype !== "image/svg+xml"
      ? h("a", { href: path(""), target: "_blank", rel: "noopener" }, h("img", { class: "file-image", src: path(""), alt: file.title || file.name })) : null;
    return h("div", { class: "file" }, picture, h("a", { class: "file-card", href: path("&download=1"), download: file.name, dataset: { file: file.id } },
      icon("file"), h("span", { class: "file-name", text: file.title || file.name }), h("span", { class: "hint", text: `${file.pretty_type} · ${size}` })));
  });
}

function reactions(message, toggle) {
  if (!message.reactions?.length) return null;
  return h("div", { class: "reactions" }, message.reactions.map((reaction) => h("button", {
    type: "button", class: reaction.users.includes(store.me) ? "reaction mine" : "reaction", "aria-pressed": String(reaction.users.includes(store.me)),
    title: `${reaction.users.map(name).join(", ")} reacted with :${reaction.name}:`, on: { click: () => toggle(reaction.name) },
  }, emoji(reaction.name), h("span", { text: String(reaction.count) }))));
}

/** Draw one message. `view`: {inThread, openThread, isContinued, isEphemeral}. */
export function renderMessage(message, view) {
  const who = author(message);
  const isGone = message.subtype === "tombstone";
  const body = h("div", { class: "body" });
  if (isGone) body.append(h("p", { class: "gone", text: message.text }));
  else if (message.blocks?.length) body.append(...renderBlocks(message.blocks, useElement(message)));
  else if (message.text) body.append(mrkdwn(message.text));
  for (const attachment of message.attachments || []) body.append(h("div", { class: "attachment" }, mrkdwn(attachment.text || attachment.title || attachment.fallback || "")));
  if (message.edited && !isGone) body.append(h("span", { class: "hint edited", text: "(edited)" }));
  body.append(...files(message));
  const toggle = async (emojiName) => report(await act("react", { channel: message.channel_id, ts: message.ts, name: emojiName }));
  const marks = reactions(message, toggle);
  if (marks) body.append(marks);
  if (!view.inThread && message.reply_count) body.append(replyLink(message, view));
  if (!view.inThread && isReply(message)) body.append(h("button", { type: "button", class: "link hint", text: "replied to a thread", on: { click: () => view.openThread(message.thread_ts) } }));
  const time = h("time", { class: "time", dateTime: new Date(Number(message.ts) * 1000).toISOString(), text: clock(message.ts) });
  const head = h("div", { class: "head" }, h("span", { class: "author", text: who.label }), badges(who), time,
    view.isEphemeral ? h("span", { class: "hint only-you" }, icon("eye"), "Only visible to you") : null);
  const row = h("article", { class: rowClass(message, view), dataset: { ts: message.ts }, "aria-label": `${who.label}, ${clock(message.ts)}` },
    view.isContinued ? h("span", { class: "gutter" }, time.cloneNode(true)) : avatar(who.person, who.label, message.icons),
    h("div", { class: "content" }, view.isContinued ? null : head, body));
  if (!isGone && !view.isEphemeral) row.append(toolbar(message, view, row, toggle));
  if (view.isEphemeral) row.append(h("div", { class: "toolbar" }, iconButton("close", "Dismiss", () => row.remove())));
  return row;
}

const rowClass = (message, view) => ["message", view.isContinued && "continued", view.isEphemeral && "ephemeral", view.isOpen && "open"].filter(Boolean).join(" ");

function replyLink(message, view) {
  const faces = message.reply_users.slice(0, 4).map((id) => avatar(store.people.get(id), name(id)));
  const count = `${message.reply_count} ${message.reply_count === 1 ? "reply" : "replies"}`;
  return h("button", { type: "button", class: "replies-link", on: { click: () => view.openThread(message.ts) } },
    h("span", { class: "faces" }, faces), h("span", { class: "count", text: count }), h("span", { class: "hint", text: `Last reply ${clock(message.latest_reply)}` }));
}

function toolbar(message, view, row, toggle) {
  const bar = h("div", { class: "toolbar", role: "group", "aria-label": "Message actions" });
  bar.append(iconButton("smile", "Add a reaction", (event) => openMenu(event.currentTarget, REACTIONS.map((short) => ({
    label: `${store.emoji[short] || ""} ${short.replace(/_/g, " ")}`, run: () => toggle(short),
  })))));
  if (!view.inThread) bar.append(iconButton("reply", "Reply in thread", () => view.openThread(message.thread_ts || message.ts)));
  bar.append(iconButton("more", "More actions", (event) => openMenu(event.currentTarget, menuItems(message, row)), { "aria-haspopup": "menu" }));
  return bar;
}

function menuItems(message, row) {
  const items = (store.app.shortcuts || []).filter((each) => each.type === "message").map((shortcut) => ({
    label: shortcut.name, run: async () => report(await act("shortcut", { channel: message.channel_id, ts: message.ts, callback_id: shortcut.callback_id })),
  }));
  if (message.user === store.me) items.push({ label: "Edit message", run: () => edit(message, row) });
  if (message.user === store.me || message.bot_id) {
    items.push({ label: "Delete message…", danger: true, run: async () => {
      const words = { title: { text: "Delete message" }, text: { type: "plain_text", text: "Delete this message? This cannot be undone." }, confirm: { text: "Delete" }, deny: { text: "Cancel" }, style: "danger" };
      if (await confirmed(words)) report(await act("delete", { channel: message.channel_id, ts: message.ts }));
    } });
  }
  items.push({ label: "Copy link", run: () => navigator.clipboard?.writeText(new URL(`archives/${message.channel_id}/p${message.ts.replace(".", "")}`, document.baseURI).href) });
  return items;
}

function edit(message, row) {
  const body = row.querySelector(".body");
  const area = h("textarea", { class: "field-input", "aria-label": "Edit message", rows: 2, value: typed(message.text) });
  const done = () => { form.replaceWith(body); };
  const save = async () => {
    const text = area.value.trim();
    if (text && text !== typed(message.text)) report(await act("edit", { channel: message.channel_id, ts: message.ts, text }));
    done();
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

/** Keep a scrolling list in step: rows that did not change stay as they are, the bottom stays in sight. */
export function reconcile(list, entries, viewOf) {
  const atBottom = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const known = new Map([...list.children].map((node) => [node.dataset.key, node]));
  let previous = null;
  const nodes = entries.map((entry) => {
    if (entry.node) return entry.node;
    const view = { ...viewOf(entry), isContinued: continues(previous, entry) };
    previous = entry;
    const print = JSON.stringify([entry, store.me, view.isContinued, view.isOpen, view.inThread]);
    const old = known.get(entry.ts);
    if (old?.print === print) return old;
    const node = renderMessage(entry, view);
    node.dataset.key = entry.ts;
    node.print = print;
    return node;
  });
  const last = list.lastElementChild?.dataset.key;
  nodes.forEach((node, index) => { if (list.children[index] !== node) list.insertBefore(node, list.children[index] || null); });
  while (list.children.length > nodes.length) list.lastElementChild.remove();
  const end = () => { list.scrollTop = list.scrollHeight; };
  // One's own words are always shown, as in Slack.
  const mine = last && last !== list.lastElementChild?.dataset.key && entries[entries.length - 1]?.user === store.me;
  if (atBottom || mine) {
    end();
    // A picture has its height only once it is there.
    for (const picture of list.querySelectorAll("img")) if (!picture.complete) picture.addEventListener("load", end, { once: true });
  } else if (last && last !== list.lastElementChild?.dataset.key) offerJump(list);
}

/** Somebody reads further up: say that there is more below instead of moving the text away under their eyes. */
function offerJump(list) {
  if (list.parentElement.querySelector(".jump")) return;
  const jump = h("button", { type: "button", class: "jump", text: "New messages ↓", on: { click: () => { list.scrollTop = list.scrollHeight; } } });
  const done = () => {
    if (list.scrollHeight - list.scrollTop - list.clientHeight > 40) return;
    jump.remove();
    list.removeEventListener("scroll", done);
  };
  list.addEventListener("scroll", done);
  list.after(jump);
}

function continues(previous, entry) {
  if (!previous || previous.reply_count || entry.isEphemeral || previous.isEphemeral || previous.isRoot) return false;
  const same = (m) => `${m.user || ""}|${m.username || ""}`;
  return same(previous) === same(entry) && day(previous.ts) === day(entry.ts) && Number(entry.ts) - Number(previous.ts) < GROUP_S && !previous.blocks?.some((block) => block.type === "actions");
}
