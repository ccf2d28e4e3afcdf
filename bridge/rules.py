"""Rules in words: the rule-engine language over named facts, with a third value for what is not known yet."""

import decimal
from collections.abc import Mapping
from typing import Any

import rule_engine
from rule_engine import ast, errors

from bridge.errors import SettingsError


class _Facts(rule_engine.Context):  # type: ignore[misc]
    """Reads `arguments.amount` as `arguments["amount"]`: the library's own fallback for this is deprecated."""

    def resolve_attribute(self, thing: Any, object_: Any, name: str) -> Any:
        if not isinstance(object_, Mapping):
            return super().resolve_attribute(thing, object_, name)
        if name not in object_:
            raise errors.LookupError(object_, name)
        return object_[name]


class Rule:
    """One expression, read once. Raises SettingsError, naming `place`, if it cannot be read.

    See https://zerosteiner.github.io/rule-engine/syntax.html for the language.
    """

    def __init__(self, when: str, *, place: str) -> None:
        """Read the expression."""
        self._context = _Facts()
        try:
            parsed = rule_engine.Rule(when, context=self._context)
        except errors.EngineError as error:
            mend = "write it like: refund_amount > 100"
            raise SettingsError(f"{place}: cannot read when = {when!r} ({error}); {mend}") from error
        self._expression = parsed.statement.expression
        self.names = frozenset(self._context.symbols)
        """The facts that it reads."""

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Tell whether it holds for certain.

        A part that names a fact that is not there does not hold; one that cannot be evaluated on the value that is
        there does, so that a wrong type cannot slip past a rule.
        """
        with decimal.localcontext(self._context.decimal_context):
            return _holds(self._expression, facts) is True


def _holds(node: Any, facts: Mapping[str, Any]) -> bool | None:
    """Evaluate with a third value, None, for what is not known yet: `a > 1 or b` must hold on `b` alone."""
    if isinstance(node, ast.LogicExpression):
        left = _holds(node.left, facts)
        decisive = node.type == "or"
        if left is decisive:
            return decisive
        right = _holds(node.right, facts)
        if right is decisive:
            return decisive
        return None if left is None or right is None else not decisive
    try:
        return bool(node.evaluate(facts))
    except (errors.SymbolResolutionError, errors.AttributeResolutionError, errors.LookupError):
        return None
    except (errors.EngineError, TypeError, ValueError, ArithmeticError):
        return True
