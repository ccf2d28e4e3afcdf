// The customer's page: what a company has on its own site, with one line changed (`domain`). A reload keeps the chat.
import { plainChat } from "./plain.js";

const KEPT = "handoff-bridge-demo-chat";
const domain = new URL("../v3/directline", document.baseURI).href;
const root = document.getElementById("webchat");
const config = await (await fetch("config")).json();

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT));
  } catch {
    return null;
  }
}

async function session() {
  const before = kept();
  if (before) {
    const answer = await fetch(`${domain}/tokens/refresh`, {
      method: "POST",
      headers: { Authorization: `Bearer ${before.token}` },
    });
    if (answer.ok) return { ...(await answer.json()), again: true };
  }
  const answer = await fetch("token", { method: "POST" });
  if (!answer.ok) throw new Error(`the bridge answered ${answer.status}`);
  return answer.json();
}

function script(address) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement("script"), { src: address, onload: resolve });
    element.onerror = () => reject(new Error("Web Chat could not be loaded"));
    document.head.append(element);
  });
}

function look() {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  return {
    backgroundColor: colour("--ground"),
    accent: colour("--accent"),
    subtle: colour("--quiet"),
    bubbleBackground: colour("--soft"),
    bubbleTextColor: colour("--ink"),
    bubbleBorderRadius: 12,
    bubbleBorderColor: "transparent",
    bubbleFromUserBackground: colour("--mine"),
    bubbleFromUserTextColor: "#ffffff",
    bubbleFromUserBorderRadius: 12,
    bubbleFromUserBorderColor: "transparent",
    sendBoxBackground: colour("--ground"),
    sendBoxTextColor: colour("--ink"),
    sendBoxPlaceholderColor: colour("--quiet"),
    sendBoxBorderTop: `1px solid ${colour("--line")}`,
    timestampColor: colour("--quiet"),
    transcriptActivityVisualKeyboardIndicatorColor: colour("--accent"),
    primaryFont: css.fontFamily || "sans-serif",
    hideUploadButton: false,
  };
}

async function start() {
  const { token, conversationId, again } = await session();
  sessionStorage.setItem(KEPT, JSON.stringify({ token, conversationId }));
  let say;
  if (config.web_chat) {
    await script("webchat.js");
    const { WebChat } = window;
    // With a conversationId Web Chat resumes instead of starting: after a reload everything is shown again.
    const directLine = WebChat.createDirectLine({ token, domain, ...(again && { conversationId, watermark: "" }) });
    const store = WebChat.createStore();
    WebChat.renderWebChat({ directLine, store, locale: "en-US", styleOptions: look() }, root);
    say = (text) => store.dispatch({ type: "WEB_CHAT/SEND_MESSAGE", payload: { text } });
  } else {
    say = await plainChat({ root, domain, token, conversationId, why: config.why });
  }
  const tell = () => parent.postMessage({ conversation: conversationId }, location.origin);
  addEventListener("message", (event) => {
    if (event.origin !== location.origin || event.source !== parent) return;
    if (typeof event.data?.say === "string") say(event.data.say);
    if (event.data?.who) tell();
    if (event.data?.again) {
      sessionStorage.removeItem(KEPT);
      location.reload();
    }
  });
  tell();
}

start().catch((error) => {
  const trouble = Object.assign(document.createElement("p"), { className: "trouble" });
  trouble.setAttribute("role", "alert");
  trouble.textContent = `The chat could not be opened: ${error.message}. Is the bridge still running? Then reload.`;
  root.replaceChildren(trouble);
});
