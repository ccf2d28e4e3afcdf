// Slack's texts as DOM: mrkdwn, rich_text, plain_text and the Markdown of markdown blocks.

import { h, link } from "./dom.js";
import { name, store } from "./store.js";

const decode = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

export function emoji(short) {
  const [base, tone] = short.split("::");
  const found = store.emoji[base] || "";
  const skin = tone ? store.emoji[tone] || "" : "";
  return h("span", found ? { class: "emoji", role: "img", "aria-label": base.replace(/_/g, " "), text: found + skin } : { text: `:${short}:` });
}

function pill(text, isMe = false) {
  return h("span", { class: isMe ? "mention me" : "mention", text });
}

export function userPill(id) {
  return pill(`@${id === store.botUser ? name(id) : store.people.get(id)?.name ?? id}`, id === store.me);
}

function groupPill(id) {
  const group = store.groups.get(id);
  return pill(`@${group?.handle ?? id}`, Boolean(group?.members.includes(store.me)));
}

const channelPill = (id) => pill(`#${store.channels.get(id)?.name ?? id}`);

function angle(body) {
  const [target, label] = [body.split("|")[0], body.includes("|") ? decode(body.slice(body.indexOf("|") + 1)) : ""];
  if (target.startsWith("@")) return userPill(target.slice(1));
  if (target.startsWith("#")) return channelPill(target.slice(1));
  if (target.startsWith("!subteam^")) return groupPill(target.slice(9));
  if (target.startsWith("!date^")) return document.createTextNode(date(target));
  if (/^!(here|channel|everyone)$/.test(target)) return pill(`@${target.slice(1)}`, true);
  return link(decode(target), label);
}

const DAYS = {
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
};

/** A moment in the reader's own time zone. https://docs.slack.dev/messaging/formatting-message-text#date-formatting */
function date(target) {
  const [, seconds, format = "{date} {time}"] = target.split("^");
  const when = new Date(Number(seconds) * 1000);
  const away = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(when).setHours(0, 0, 0, 0)) / 86400000);
  const near = { 0: "Today", 1: "Yesterday", "-1": "Tomorrow" }[away];
  return format.replace(/\{(\w+)\}/g, (token, name) => {
    if (name === "time") return when.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
    if (name === "time_secs") return when.toLocaleTimeString();
    const day = DAYS[name.replace(/_pretty$/, "")];
    if (!day) return token;
    return (name.endsWith("_pretty") && near) || when.toLocaleDateString([], day);
  });
}

const INLINE = [
  [/^`([^`\n]+)`/, (m) => h("code", { text: decode(m[1]) })],
  [/^<([^<>\n]+)>/, (m) => angle(m[1])],
  [/^\*(?=\S)([^*\n]+?)\*(?![\w*])/, (m) => h("strong", {}, inline(m[1])), true],
  [/^_(?=\S)([^_\n]+?)_(?![\w_])/, (m) => h("em", {}, inline(m[1])), true],
  [/^~(?=\S)([^~\n]+?)~(?![\w~])/, (m) => h("s", {}, inline(m[1])), true],
  [/^:([a-z0-9_+'-]+(?:::skin-tone-[2-6])?):/, (m) => emoji(m[1])],
];

/** One stretch of mrkdwn without fences and quotes. */
function inline(text, rules = INLINE) {
  const nodes = [];
  let plain = "";
  const flush = () => { if (plain) nodes.push(document.createTextNode(decode(plain))); plain = ""; };
  for (let at = 0; at < text.length;) {
    const rest = text.slice(at);
    const before = at ? text[at - 1] : " ";
    const hit = rules.map(([pattern, make, atWord]) => [atWord && /[\w*_~]/.test(before) ? null : rest.match(pattern), make]).find(([m]) => m);
    if (hit) { flush(); nodes.push(hit[1](hit[0])); at += hit[0][0].length; } else { plain += text[at]; at += 1; }
  }
  flush();
  return nodes;
}

export function mrkdwn(text) {
  const nodes = [];
  text.split(/```\n?([\s\S]*?)\n?```/).forEach((part, index) => {
    if (index % 2) { nodes.push(h("pre", { text: decode(part) })); return; }
    const lines = part.replace(/^\n|\n$/g, "").split("\n");
    let quoted = [];
    const flush = () => { if (quoted.length) nodes.push(h("blockquote", {}, inline(quoted.join("\n")))); quoted = []; };
    lines.forEach((line, number) => {
      if (/^(&gt;|>)/.test(line)) { quoted.push(line.replace(/^(&gt;|>) ?/, "")); return; }
      flush();
      nodes.push(...inline(line));
      if (number < lines.length - 1) nodes.push(document.createTextNode("\n"));
    });
    flush();
  });
  return h("div", { class: "text" }, nodes);
}

/** A text object of Block Kit. */
export function textObject(object) {
  if (object.type === "mrkdwn") return mrkdwn(object.text);
  const parts = object.emoji === false ? [document.createTextNode(object.text)] : inline(object.text.replace(/&/g, "&amp;"), [INLINE[5]]);
  return h("span", { class: "text" }, parts);
}

const MARKS = [["bold", "strong"], ["italic", "em"], ["strike", "s"], ["code", "code"], ["underline", "u"]];

function leaf(element) {
  let node;
  if (element.type === "text") node = document.createTextNode(element.text);
  else if (element.type === "link") node = link(element.url, element.text);
  else if (element.type === "user") node = userPill(element.user_id);
  else if (element.type === "usergroup") node = groupPill(element.usergroup_id);
  else if (element.type === "channel") node = channelPill(element.channel_id);
  else if (element.type === "broadcast") node = pill(`@${element.range}`, true);
  else if (element.type === "emoji") node = emoji(element.name);
  else if (element.type === "date") node = document.createTextNode(element.fallback || date(`!date^${element.timestamp}`));
  else node = document.createTextNode(element.text ?? "");
  for (const [mark, tag] of MARKS) if (element.style?.[mark]) node = h(tag, {}, node);
  return node;
}

export function richText(block) {
  return h("div", { class: "text rich" }, block.elements.map((element) => {
    if (element.type === "rich_text_list") {
      const items = element.elements.map((item) => h("li", {}, item.elements.map(leaf)));
      const list = h(element.style === "ordered" ? "ol" : "ul", {}, items);
      list.style.marginLeft = `${(element.indent || 0) * 1.4}em`;
      return list;
    }
    const tag = { rich_text_preformatted: "pre", rich_text_quote: "blockquote" }[element.type] || "div";
    return h(tag, {}, element.elements.map(leaf));
  }));
}

const MD_INLINE = [
  [/^\\([\\`*_{}[\]()#+.!~>|-])/, (m) => document.createTextNode(m[1])],
  [/^`([^`\n]+)`/, (m) => h("code", { text: m[1] })],
  [/^!?\[([^\]]*)\]\(([^()\s]+)\)/, (m) => link(m[2], m[1])],
  [/^<(https?:[^<>\s]+)>/, (m) => link(m[1])],
  [/^https?:\/\/[^\s<>)]+/, (m) => link(m[0])],
  [/^(\*\*|__)(?=\S)([\s\S]+?)\1/, (m) => h("strong", {}, inline(m[2], MD_INLINE))],
  [/^([*_])(?=\S)([^*_\n]+?)\1(?!\w)/, (m) => h("em", {}, inline(m[2], MD_INLINE)), true],
  [/^~~(?=\S)([^~]+)~~/, (m) => h("s", {}, inline(m[1], MD_INLINE))],
  INLINE[5],
];

/** The subset of Markdown that agents write: headings, lists, quotes, code, links, emphasis. */
export function markdown(text) {
  const box = h("div", { class: "text rich" });
  const lines = text.split("\n");
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    const take = (test) => { const taken = []; while (at < lines.length && test(lines[at])) taken.push(lines[at++]); return taken; };
    if (line.startsWith("```")) {
      at += 1;
      box.append(h("pre", { text: take((l) => !l.startsWith("```")).join("\n") }));
      at += 1;
    } else if (/^#{1,6} /.test(line)) {
      box.append(h("strong", { class: "md-heading" }, inline(line.replace(/^#+ /, ""), MD_INLINE)));
      at += 1;
    } else if (/^\s*[-*+] /.test(line)) {
      box.append(h("ul", {}, take((l) => /^\s*[-*+] /.test(l)).map((l) => h("li", {}, inline(l.replace(/^\s*[-*+] /, ""), MD_INLINE)))));
    } else if (/^\s*\d+[.)] /.test(line)) {
      box.append(h("ol", {}, take((l) => /^\s*\d+[.)] /.test(l)).map((l) => h("li", {}, inline(l.replace(/^\s*\d+[.)] /, ""), MD_INLINE)))));
    } else if (line.startsWith(">")) {
      box.append(h("blockquote", {}, inline(take((l) => l.startsWith(">")).map((l) => l.replace(/^> ?/, "")).join("\n"), MD_INLINE)));
    } else if (/^(---+|\*\*\*+)$/.test(line)) {
      box.append(h("hr"));
      at += 1;
    } else if (!line.trim()) {
      at += 1;
    } else {
      const words = take((l) => l.trim() && !/^(```|#{1,6} |\s*[-*+] |\s*\d+[.)] |>)/.test(l));
      if (!words.length) words.push(lines[at++]);
      box.append(h("p", {}, inline(words.join("\n"), MD_INLINE)));
    }
  }
  return box;
}

/** A message's text as its author would type it again. */
export function typed(text) {
  return decode(text.replace(/<([^<>]+)>/g, (_, body) => {
    const target = body.split("|")[0];
    if (target.startsWith("@")) return `@${store.people.get(target.slice(1))?.name ?? target.slice(1)}`;
    if (target.startsWith("#")) return `#${store.channels.get(target.slice(1))?.name ?? target.slice(1)}`;
    if (target.startsWith("!subteam^")) return `@${store.groups.get(target.slice(9))?.handle ?? "group"}`;
    return target.startsWith("!") ? `@${target.slice(1)}` : target;
  }));
}

/** What a notification or a screen reader says of a message. */
export function plain(text) {
  return typed(text);
}
