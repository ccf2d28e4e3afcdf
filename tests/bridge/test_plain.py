"""Text and values as every store can keep them."""

from hypothesis import given
from hypothesis import strategies as st

from bridge import plain

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_any_text_can_be_kept_afterwards(raw: str) -> None:
    """Whatever comes in, what comes out can be encoded and holds no NUL; good text stays as it is."""
    kept = plain.text(raw)

    assert "\x00" not in kept.encode().decode()
    assert plain.text(kept) == kept
    assert all(char in raw or char == "\ufffd" or ord(char) > 0xFFFF for char in kept)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00")), st.integers(min_value=0))
def test_text_torn_anywhere_is_whole_again(raw: str, cut: int) -> None:
    """Two pieces of UTF-16 give the text that they were; the first piece never shows half a character."""
    units = raw.encode("utf-16-le")
    at = cut % (len(units) // 2 + 1) * 2
    first, second = (part.decode("utf-16-le", "surrogatepass") for part in (units[:at], units[at:]))

    assert plain.text(first + second) == raw
    assert raw.startswith(plain.text_so_far(first))


@given(st.dictionaries(ANY_TEXT, st.recursive(ANY_TEXT | st.floats() | st.binary() | st.none(), st.lists), max_size=5))
def test_any_values_can_be_kept_afterwards(raw: dict[str, object]) -> None:
    """Values of any type become JSON that says the same a second time."""
    kept = plain.values(raw)

    assert plain.values(kept) == kept
