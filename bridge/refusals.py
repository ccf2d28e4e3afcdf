"""What people on a desk are told when something that they did could not be done, whatever the desk. Pure data."""

NOT_KEPT = "The bridge could not keep this just now. Nothing has changed; try again in a moment."
GONE = "The bridge knows no such conversation any more."
ELSEWHERE = "This conversation lives in another channel now; act in its own thread."
ENDED = "This conversation is not with people any more. Take it back first."
NONE_OPEN = "You have no open conversation to return."
NOT_OURS = "This message is not in a thread of the bridge."
REFUSED = "That is not possible now."
