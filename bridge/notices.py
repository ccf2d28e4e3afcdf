"""What the bridge itself says: to customers in their language (each text can be replaced in the settings), to operators
in English. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CUSTOMER_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "escalated": "I'm bringing in a colleague. Your ticket is {ticket}.",
        "escalated_closed": "I'm passing this on to my colleagues, who are back {opens}. Your ticket is {ticket}.",
        "escalated_contact": (
            "I'm passing this on to my colleagues, who are back {opens}. Your ticket is {ticket}. "
            "Please leave an e-mail address or a phone number here so that they can reach you."
        ),
        "stays": "My colleagues are not available right now; they are back {opens}. I'll go on helping as well as I can.",
        "joined": "**{name}** ({label}) joined the chat.",
        "returned": "**{name}** left the chat. You are talking with our AI assistant again.",
        "agent_again": "You are talking with our AI assistant again.",
        "withdrawn": "All right. You are talking with our AI assistant again.",
        "released": "**{name}** had to leave. A colleague will go on with you; your ticket {ticket} stays open.",
        "transferred": "I'm passing you on to {label}. Your ticket {ticket} stays open.",
        "closed": "This conversation was closed. Write again at any time.",
        "still_waiting": "Thank you for waiting. Nobody was free yet; your ticket {ticket} stays open and we'll answer here.",
        "contact": "It takes longer than it should. Please leave an e-mail address or a phone number so that we can reach you.",
        "unreachable": "I could not reach my colleagues yet and keep trying. Your ticket is {ticket}.",
        "unanswered": "Nobody was free to answer, I'm sorry. You are talking with our AI assistant again; your ticket was {ticket}.",
        "soon": "as soon as they can",
    },
    "de": {
        "escalated": "Ich hole jemanden aus dem Team dazu. Ihre Ticketnummer ist {ticket}.",
        "escalated_closed": "Ich gebe das an das Team weiter. Es ist {opens} wieder da. Ihre Ticketnummer ist {ticket}.",
        "escalated_contact": (
            "Ich gebe das an das Team weiter. Es ist {opens} wieder da. Ihre Ticketnummer ist {ticket}. "
            "Bitte hinterlassen Sie hier eine E-Mail-Adresse oder Telefonnummer, damit wir Sie erreichen."
        ),
        "stays": "Das Team ist gerade nicht da; es ist {opens} wieder erreichbar. Ich helfe weiter, so gut ich kann.",
        "joined": "**{name}** ({label}) ist jetzt im Chat.",
        "returned": "**{name}** hat den Chat verlassen. Sie sprechen wieder mit unserem KI-Assistenten.",
        "agent_again": "Sie sprechen wieder mit unserem KI-Assistenten.",
        "withdrawn": "In Ordnung. Sie sprechen wieder mit unserem KI-Assistenten.",
        "released": "**{name}** musste gehen. Jemand aus dem Team macht weiter; Ihr Ticket {ticket} bleibt offen.",
        "transferred": "Ich gebe Sie weiter an {label}. Ihr Ticket {ticket} bleibt offen.",
        "closed": "Dieses Gespräch wurde geschlossen. Schreiben Sie jederzeit wieder.",
        "still_waiting": "Danke für Ihre Geduld. Noch ist niemand frei; Ihr Ticket {ticket} bleibt offen, wir antworten hier.",
        "contact": "Es dauert länger als gedacht. Bitte hinterlassen Sie eine E-Mail-Adresse oder Telefonnummer.",
        "unreachable": "Ich konnte das Team noch nicht erreichen und versuche es weiter. Ihre Ticketnummer ist {ticket}.",
        "unanswered": "Leider war niemand frei. Sie sprechen wieder mit unserem KI-Assistenten; Ihr Ticket war {ticket}.",
        "soon": "so bald wie möglich",
    },
}

THREAD_TEXTS: Mapping[str, str] = {
    "taken": "{name} took this conversation. What {name} writes in this thread now goes to the customer.",
    "taken_over": "{name} took this conversation over from {other}.",
    "released": "{name} gave this conversation back to the queue.",
    "left": "{name} can no longer answer here, so the conversation is back in the queue.",
    "transferred_to": "{name} passed this conversation to {other}.{note}",
    "transferred_away": "{name} moved this conversation to the queue {queue}. It goes on in a new thread.{note}",
    "transferred_here": "{name} moved this conversation here from {queue}.{note}",
    "returned": "{name} gave this conversation back to the AI agent ({outcome}).{note}",
    "rehearsing": "{name} asked the AI agent what it would say next. The answer comes here; the customer does not see it.{note}",
    "rehearsal_failed": "The rehearsal failed: the AI agent did not answer as it should. The customer saw nothing of it.",
    "rehearsal_dropped": "The rehearsal was stopped, because this conversation changed hands. The customer saw nothing of it.",
    "unanswered": "Nobody took it in time, so the conversation went back to the AI agent, and the customer was told.",
    "withdrawn": "The customer no longer wants a person. The AI agent goes on.",
    "closed": "{name} closed this conversation.",
    "closed_idle": "Nothing was said for a long time, so the conversation was closed.",
    "again": "The agent escalated again ({reason}): {summary}",
    "sticky": "This customer last talked with {name}.",
    "ask": "Still waiting for somebody to take it.",
    "earlier": "This is the thread of an earlier handoff. The conversation goes on in {ticket}; the customer did not get this.",
    "edit_removed": "After your edit this is a note, so it was removed from the customer's chat.",
    "edit_kept": "It was a note before your edit and stays one.",
    "reopened": "{name} took this conversation back. It goes on as {ticket}.",
    "thread_gone": "The thread of this handoff was deleted, so it goes on here. What was said before stands above.",
    "dead": "This could not be delivered here: {reason}. {remedy}",
    "maybe": "An earlier post may have been sent twice or not at all: {reason}. Look in the thread, then choose.",
}

REHEARSING = "What the AI agent would say comes in the thread in a moment; the customer does not see it."
"""What an operator is told who lets the agent rehearse."""


def harmless(name: str) -> str:
    """Return a name without anything that Markdown, a widget or a line could take for more than a name."""
    kept = "".join(c if c.isalnum() or c in " .'’-·," else " " for c in name)
    return " ".join(kept.split())[:80] or "A colleague"


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The texts for one customer. `custom` replaces texts by (language, name)."""

    language: str = "en"
    custom: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def customer(self, name: str, /, **values: str) -> str:
        """Return the customer's text of that name, in the customer's language or else in English. Raises KeyError for
        unknown names.
        """
        language = self.language.split("-")[0].lower()
        for texts in (self.custom, CUSTOMER_TEXTS):
            for tongue in (language, "en"):
                if (template := texts.get(tongue, {}).get(name)) is not None:
                    return template.format_map(values)
        raise KeyError(name)


def thread(name: str, /, **values: str) -> str:
    """Return the operators' text of that name."""
    return THREAD_TEXTS[name].format_map(values)
