"""Words of strangers as one line of a log: nothing in them is obeyed, and nothing is lost."""


def printable(text: str) -> str:
    r"""The text with everything invisible spelled out: line breaks as `\n`, escapes as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
