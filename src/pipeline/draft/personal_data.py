"""Decides which fields look like personal data, by their names and by what their strings hold."""

import re

from pipeline.draft import strings
from pipeline.draft.names import snake, words_of
from pipeline.draft.profile import Node

_NAMES = re.compile(
    r"(?:.*_)?(?:(?:first|last|full|given|family|middle|sur|maiden|display|user|contact|customer|billing|shipping|"
    r"recipient|sender|owner|author|login)_?name|surname|nickname|username|email|e_mail|mail|phone|telephone|tel|mobile|"
    r"cell|fax|street|street_\d|address|address_?(?:line)?_?\d|line_?[12]|addr|zip|zip_?code|postal_?code|postcode|"
    r"city|town|birth(?:day|date|_date)|date_of_birth|dob|ssn|social_security(?:_number)?|passport(?:_number)?|iban|"
    r"card_?number|ip|ip_?address|remote_addr|lat|latitude|lng|lon|longitude|gender|nationality|tax_id|vat_id|"
    r"company|signature|user_?agent|source_ip)(?:_\w+)?"
)
_PEOPLE = re.compile(
    r"(?:.*_)?(?:customer|user|person|people|contact|employee|member|patient|client|owner|author|actor|sender|recipient|"
    r"buyer|seller|guest|passenger|billing|shipping|address|profile|committer|driver|student|teacher)s?"
)
_CONTACT_WORDS = frozenset(["email", "mail", "phone", "telephone", "mobile"])
_OF_PEOPLE = frozenset({"name", "login", "title", "country", "region", "state", "notes", "comment"})


def is_contact(node: Node) -> bool:
    """Return whether a field looks like an address by which a person can be reached."""
    return bool({*words_of(node.name)} & _CONTACT_WORDS)


def is_personal(node: Node, holder: str = "") -> bool:
    """Return whether a field looks like personal data. `holder` is the name of the object that has it."""
    name = snake(node.name)
    if _NAMES.fullmatch(name):
        return True
    if name in _OF_PEOPLE and _PEOPLE.fullmatch(snake(holder)):
        return True
    found = node.strings
    return bool(found.total) and found.share_of(strings.EMAIL) >= 0.5
