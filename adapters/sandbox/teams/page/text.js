// Teams' texts as DOM: plain, the Markdown that bots may send, and the HTML that people's clients send. HTML is parsed
// into a document without scripts and rebuilt from an allow-list: nothing of it is ever put into the page as it is.

import { h, link } from "./dom.js";
import { store } from "./store.js";

const decode = (text) => new DOMParser().parseFromString(text.replace(/</g, "&lt;"), "text/html").body.textContent;

function pill(name, entities) {
  const entity = (entities || []).find((each) => each.type === "mention" && each.text === `<at>${name}</at>`);
  const mentioned = entity?.mentioned || {};
  const isMe = [store.me, store.people.get(store.me)?.id].includes(mentioned.aadObjectId || mentioned.id);
  return h("span", { class: `mention${isMe ? " me" : ""}${entity ? "" : " unbacked"}`, text: decode(name), title: entity ? undefined : "Nobody is mentioned: there is no entity for this tag" });
}

/** Markdown of a message (`isCard` false) or of a card's TextBlock, which knows less. */
function rules(entities, isCard) {
  const wrap = (tag) => (m) => h(tag, {}, inline(m[2], entities, isCard));
  const both = [
    [/^\\([\\`*_{}[\]()#+.!~>|<&-])/, (m) => document.createTextNode(m[1])],
    [/^<at>([\s\S]*?)<\/at>/, (m) => pill(m[1], entities)],
    [/^&(#\d+|#x[0-9a-f]+|[a-z]+);/i, (m) => document.createTextNode(decode(m[0]))],
    [/^!?\[([^\]]*)\]\(([^()\s]+)\)/, (m) => link(m[2], decode(m[1].replace(/\\(.)/g, "$1")))],
    [/^(\*\*|__)(?=\S)([\s\S]+?)\1/, wrap("strong")],
    [/^([*_])(?=\S)([^*_\n]+?)\1(?!\w)/, wrap("em"), true],
  ];
  if (isCard) return both;
  return [
    [/^(`)([^`\n]+)`/, (m) => h("code", { text: m[2] })],
    ...both,
    [/^(~~)(?=\S)([^~]+)~~/, wrap("s")],
    [/^<(b|strong|i|em|u|s|code)>([\s\S]*?)<\/\1>/i, (m) => h(m[1].toLowerCase(), {}, inline(m[2], entities))],
    [/^<br\s*\/?>/i, () => h("br")],
    [/^https?:\/\/[^\s<>)]+/, (m) => link(m[0])],
  ];
}

function inline(text, entities, isCard = false) {
  const nodes = [], known = rules(entities, isCard);
  let plain = "";
  const flush = () => { if (plain) nodes.push(document.createTextNode(plain)); plain = ""; };
  for (let at = 0; at < text.length;) {
    const rest = text.slice(at);
    const inWord = at > 0 && /\w/.test(text[at - 1]);
    const hit = known.map(([pattern, make, atWord]) => [atWord && inWord ? null : rest.match(pattern), make]).find(([m]) => m);
    if (hit) { flush(); nodes.push(hit[1](hit[0])); at += hit[0][0].length; } else { plain += text[at]; at += 1; }
  }
  flush();
  return nodes;
}

export function plain(text) {
  return h("div", { class: "text", text });
}

const FENCE = /^```/, BULLET = /^\s*[-*+]\s+/, NUMBER = /^\s*\d+[.)]\s+/, QUOTE = /^>\s?/;

export function markdown(text, entities, { isCard = false } = {}) {
  const box = h("div", { class: "text rich" });
  const lines = text.split("\n");
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    const take = (test) => { const taken = []; while (at < lines.length && test(lines[at])) taken.push(lines[at++]); return taken; };
    const list = (tag, mark) => h(tag, {}, take((l) => mark.test(l)).map((l) => h("li", {}, inline(l.replace(mark, ""), entities, isCard))));
    if (!isCard && FENCE.test(line)) {
      at += 1;
      box.append(h("pre", { text: take((l) => !FENCE.test(l)).join("\n") }));
      at += 1;
    } else if (BULLET.test(line)) box.append(list("ul", BULLET));
    else if (NUMBER.test(line)) box.append(list("ol", NUMBER));
    else if (!isCard && QUOTE.test(line)) box.append(h("blockquote", {}, inline(take((l) => QUOTE.test(l)).map((l) => l.replace(QUOTE, "")).join("\n"), entities)));
    else if (!line.trim()) at += 1;
    else {
      const words = take((l) => l.trim() && !BULLET.test(l) && !NUMBER.test(l) && (isCard || (!FENCE.test(l) && !QUOTE.test(l))));
      box.append(h("p", {}, inline(words.join("\n"), entities, isCard)));
    }
  }
  return box;
}

const KEPT = new Set(["p", "div", "strong", "b", "em", "i", "u", "s", "code", "pre", "blockquote", "ul", "ol", "li", "br", "h1", "h2", "h3"]);

function walk(node, message) {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.textContent);
  if (node.nodeType !== Node.ELEMENT_NODE) return null;
  const tag = node.tagName.toLowerCase();
  const children = [...node.childNodes].map((child) => walk(child, message));
  if (["script", "style", "attachment", "img"].includes(tag)) return null;
  if (tag === "at") return pill(node.textContent, message.entities);
  if (/Mention/.test(node.getAttribute("itemtype") || "")) return pill(node.textContent, message.entities);
  if (tag === "a") return link(node.getAttribute("href") || "", node.textContent);
  return h(KEPT.has(tag) ? tag : "span", {}, children);
}

export function richHtml(message, html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  return h("div", { class: "text rich" }, [...parsed.body.childNodes].map((node) => walk(node, message)));
}

/** A message's words, in whichever form it was sent. */
export function words(message) {
  if (message.html) return richHtml(message, message.html);
  if (message.text_format === "plain") return plain(message.text);
  if (message.text_format === "xml") return richHtml(message, message.text);
  return markdown(message.text, message.entities);
}

/** A message's text as its author would type it again. */
export function typed(message) {
  return decode(message.text.replace(/<at>(.*?)<\/at>/g, "@$1")).replace(/\u00a0/g, " ");
}
